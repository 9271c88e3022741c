-- Work that a room owes for something that never got a seat, such as the late answer to a create.
-- returns: nothing
-- uses: owed
-- keys: owed agenda
-- args: now owner effects
now = tonumber(now)
for _, one in ipairs(cjson.decode(effects)) do
  owed_add(owed, agenda, owner, now, one[1], tonumber(one[2]), one[3], one[4])
end
return 1
