-- Reads one record.
--
-- KEYS  1 record (hash)   2 mirror (string)
-- a     known: the digest of what the caller has read before, if anything
-- Returns what `whole` in `record.lua` does
return whole()
