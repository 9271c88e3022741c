-- The last step of leaving.
-- uses: owed seats
-- keys: room owed agenda
-- args: now seat owner
seat_free(room, owed, agenda, owner, tonumber(now), seat)
return 1
