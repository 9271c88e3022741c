-- The last step of leaving.
-- returns: nothing
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now seat owner name
seat_free({room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}, seat)
return 1
