-- The databases: values by key, and when a key expires. They are kept in `server.state`, so a save
-- of any of these files leaves them alone. A value is a string, or a list: see lists.lua.

local DATABASES = 16

local state = server.state
if not state.databases then
  state.databases = {}
  for number = 1, DATABASES do
    state.databases[number] = { values = {}, expires = {} }
  end
end

local store = { DATABASES = DATABASES }

-- One of the databases, by its number from 0.
function store.database(number)
  return state.databases[number + 1]
end

function store.remove(db, key)
  db.values[key] = nil
  db.expires[key] = nil
end

-- The value of a key, or nil.
function store.find(db, key)
  local expires = db.expires[key]
  if expires and expires <= server.now() then
    store.remove(db, key)
    return nil
  end
  return db.values[key]
end

-- Sets the value of a key; it expires at `expires`, or never.
function store.set(db, key, value, expires)
  db.values[key] = value
  db.expires[key] = expires
end

-- Removes what has expired.
function store.sweep()
  local now = server.now()
  for _, db in state.databases do
    for key, expires in db.expires do
      if expires <= now then
        store.remove(db, key)
      end
    end
  end
end

function store.clear(db)
  table.clear(db.values)
  table.clear(db.expires)
end

function store.clear_all()
  for _, db in state.databases do
    store.clear(db)
  end
end

return store
