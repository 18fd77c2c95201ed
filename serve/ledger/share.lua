-- Gives a node its part of what a tenant may have at once, as far as the other living nodes leave it; returns the part.
--
-- ARGV: the prefix of all keys; tenant and node; what the node wants; what the tenant may have.

local prefix, tenant, node, wanted, limit = unpack(ARGV)
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local shares, taken = prefix .. 'shares:' .. tenant, 0
local all = redis.call('HGETALL', shares)
for place = 1, #all, 2 do
    local until_ = redis.call('ZSCORE', prefix .. 'until', all[place])
    if not until_ or tonumber(until_) <= now then
        redis.call('HDEL', shares, all[place])
    elseif all[place] ~= node then
        taken = taken + all[place + 1]
    end
end
local share = math.max(0, math.min(tonumber(wanted), limit - taken))
redis.call('HSET', shares, node, share)
return share
