package blob

// SetCheckpointEvery makes tests of checkpoints small.
func (s *Store) SetCheckpointEvery(n int) { s.every = n }

// BuffersInUse is how many buffers have not come back.
func (s *Store) BuffersInUse() int { return len(s.buffers.slots) }
