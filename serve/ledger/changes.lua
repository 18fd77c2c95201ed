-- Makes the changes of several orders in Redis, each order whole or not at all, and returns what became of each.
--
-- ARGV[1] is the prefix of all keys; ARGV[2] the orders in msgpack, each a list of changes, a change its name and
-- values. A value is text with its kind in front ("s" text, "n" a number), or nothing where there is none.
--
-- PREFIX session:ID     a session's row, by field          PREFIX sessions:TENANT   ids, in order
-- PREFIX runs:ID        outcomes of its runs, by id        PREFIX made:ID           ids of its runs, by time
-- PREFIX snapshot:ID    a snapshot's row, by field         PREFIX snapshots:TENANT  ids, in order
-- PREFIX state:ID       a state's bytes                    PREFIX states            size and tenant, by state
-- PREFIX owners         sessions and snapshots, by state   PREFIX bytes             of all states, by tenant
-- PREFIX usage:TENANT:DAY   what was used, by kind         PREFIX days:TENANT       days, in order
-- PREFIX expires        ids of sessions, by time           PREFIX paused            ids of sessions that computed

local prefix, orders = ARGV[1], cmsgpack.unpack(ARGV[2])
local SESSION = {'id', 'tenant', 'created', 'touched', 'expires', 'spec', 'state', 'version', 'waits', 'deaths',
    'quarantined', 'holder', 'epoch'}
local SNAPSHOT = {'id', 'tenant', 'made', 'spec', 'state', 'waits'}
local USED = {'fuel', 'wall', 'runs', 'calls', 'output', 'creates'}

local function key(name) return prefix .. name end
local function plain(value) return string.sub(value, 2) end
local function session(id) return key('session:' .. plain(id)) end
local function is_there(id) return redis.call('EXISTS', session(id)) == 1 end
local function holds(id, epoch) return redis.call('HGET', session(id), 'epoch') == epoch end

local function own(state, count)
    if state and state ~= '' then redis.call('HINCRBY', key('owners'), plain(state), count) end
end

local function note_waits(id, waits)
    local is_paused = waits and string.find(waits, '{"kind": "paused"', 2, true) == 2
    redis.call(is_paused and 'SADD' or 'SREM', key('paused'), plain(id))
end

local function set(place, fields, values)
    for number, field in ipairs(fields) do redis.call('HSET', place, field, values[number]) end
end

-- What has to be so before anything of an order is changed; each returns whether it is.
local required = {}
function required.check_lease(id, epoch) return holds(id, epoch) end
function required.take_lease(holder, id, epoch) return holds(id, epoch) end

local changes = {}

function changes.check_lease() end

function changes.take_lease(holder, id, epoch)
    redis.call('HSET', session(id), 'holder', holder, 'epoch', 'n' .. string.format('%d', plain(epoch) + 1))
end

function changes.leave_lease(id, epoch)
    if holds(id, epoch) then redis.call('HSET', session(id), 'holder', '') end
end

function changes.add_session(...)
    local row = {...}
    set(session(row[1]), SESSION, row)
    redis.call('ZADD', key('sessions:' .. plain(row[2])), 0, plain(row[1]))
    redis.call('ZADD', key('expires'), plain(row[5]), plain(row[1]))
    own(row[7], 1)
    note_waits(row[1], row[9])
end

function changes.save_session(state, version, waits, touched, holder, id)
    if not is_there(id) then return end
    local place = session(id)
    own(redis.call('HGET', place, 'state'), -1)
    own(state, 1)
    set(place, {'state', 'version', 'waits', 'deaths', 'touched', 'holder'}, {state, version, waits, 'n0', touched, holder})
    note_waits(id, waits)
end

function changes.renew_session(spec, expires, id)
    if not is_there(id) then return end
    redis.call('HSET', session(id), 'spec', spec, 'expires', expires)
    redis.call('ZADD', key('expires'), plain(expires), plain(id))
end

function changes.count_deaths(deaths, quarantined, id)
    if is_there(id) then redis.call('HSET', session(id), 'deaths', deaths, 'quarantined', quarantined) end
end

function changes.remove_session(id)
    local row = redis.call('HMGET', session(id), 'tenant', 'state')
    if not row[1] then return end
    own(row[2], -1)
    redis.call('DEL', session(id))
    redis.call('ZREM', key('sessions:' .. plain(row[1])), plain(id))
    redis.call('ZREM', key('expires'), plain(id))
    redis.call('SREM', key('paused'), plain(id))
end

function changes.remove_runs(id)
    redis.call('DEL', key('runs:' .. plain(id)), key('made:' .. plain(id)))
end

function changes.keep_run(id, run, digest, status, body, made)
    redis.call('HSET', key('runs:' .. plain(id)), plain(run), cmsgpack.pack({digest, status, body, made}))
    redis.call('ZADD', key('made:' .. plain(id)), plain(made), plain(run))
end

function changes.put_state(id, tenant, size, data)
    if redis.call('HSETNX', key('states'), plain(id), plain(size) .. ' ' .. plain(tenant)) == 0 then return end
    redis.call('SET', key('state:' .. plain(id)), plain(data))
    redis.call('HINCRBY', key('bytes'), plain(tenant), plain(size))
end

function changes.drop_state(id)
    local about = redis.call('HGET', key('states'), plain(id))
    if not about or tonumber(redis.call('HGET', key('owners'), plain(id)) or 0) > 0 then return end
    local size, tenant = string.match(about, '^(%d+) (.*)$')
    redis.call('HINCRBY', key('bytes'), tenant, -size)
    redis.call('HDEL', key('states'), plain(id))
    redis.call('HDEL', key('owners'), plain(id))
    redis.call('DEL', key('state:' .. plain(id)))
end

function changes.add_snapshot(...)
    local row = {...}
    set(key('snapshot:' .. plain(row[1])), SNAPSHOT, row)
    redis.call('ZADD', key('snapshots:' .. plain(row[2])), 0, plain(row[1]))
    own(row[5], 1)
end

function changes.remove_snapshot(id)
    local place = key('snapshot:' .. plain(id))
    local row = redis.call('HMGET', place, 'tenant', 'state')
    if not row[1] then return end
    own(row[2], -1)
    redis.call('DEL', place)
    redis.call('ZREM', key('snapshots:' .. plain(row[1])), plain(id))
end

function changes.charge(tenant, day, ...)
    local place = key('usage:' .. plain(tenant) .. ':' .. plain(day))
    for number, amount in ipairs({...}) do redis.call('HINCRBYFLOAT', place, USED[number], plain(amount)) end
    redis.call('ZADD', key('days:' .. plain(tenant)), 0, plain(day))
end

local outcomes = {}
for number, order in ipairs(orders) do
    local refused = ''
    for _, change in ipairs(order) do
        local check = required[change[1]]
        if check and not check(unpack(change, 2)) then refused = 'lease ' .. change[1] end
        if change[1] == 'add_session' and is_there(change[2]) then refused = 'there is one' end
    end
    if refused == '' then
        for _, change in ipairs(order) do changes[change[1]](unpack(change, 2)) end
    end
    outcomes[number] = refused
end
return outcomes
