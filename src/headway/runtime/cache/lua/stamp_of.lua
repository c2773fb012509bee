-- Put before the scripts that need it.
local function stamp_of(key) -- of the entry there, 0 without one; a write that changes nothing: no hit, no miss is counted
  if not redis.call('MEMORY', 'USAGE', key) then return 0 end
  local at = redis.call('BITFIELD', key, 'INCRBY', 'u8', 0, 0, 'GET', 'u32', 64, 'GET', 'u32', 96, 'GET', 'u16', 128)
  if at[4] ~= 0x4831 then return 0 end -- "H1"
  return (struct.unpack('>d', struct.pack('>I4I4', at[2], at[3])))
end
