-- Says that a node lives, by the server's clock, and returns all nodes that do: name, address, and room in turn.
--
-- ARGV: the prefix of all keys; name, address and room of the node; seconds for which it is believed.

local prefix, name, url, room, life = unpack(ARGV)
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local nodes, until_ = prefix .. 'nodes', prefix .. 'until'
redis.call('HSET', nodes, name, room .. ' ' .. url)
redis.call('ZADD', until_, now + life, name)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', until_, '-inf', now - 3600)) do
    redis.call('ZREM', until_, gone)
    redis.call('HDEL', nodes, gone)
end
local found = {}
for _, each in ipairs(redis.call('ZRANGEBYSCORE', until_, string.format('(%.6f', now), '+inf')) do
    local about = redis.call('HGET', nodes, each)
    if about then
        found[#found + 1] = each
        found[#found + 1] = about
    end
end
return found
