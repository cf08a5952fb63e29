package bare

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"syscall"
)

const (
	buffer    = 1 << 20
	buffers   = 4
	writeBack = 8 << 20 // the kernel is told to start writing after this many bytes
)

// step receives, hashes and writes one buffer after the other.
func step(f *os.File, src io.Reader) ([]byte, error) {
	h := sha256.New()
	b := make([]byte, buffer)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, h)}, struct{ io.Reader }{src}, b)
	return h.Sum(nil), err
}

// pipelined receives, hashes and writes at the same time over a ring of buffers, and has
// the kernel write back early, so that the last sync has little left to do.
func pipelined(f *os.File, src io.Reader) ([]byte, error) {
	free := make(chan []byte, buffers)
	for range buffers {
		free <- make([]byte, buffer)
	}
	toHash, toWrite := make(chan []byte, buffers), make(chan []byte, buffers)
	hashed, written := make(chan []byte, buffers), make(chan error, 1)
	sum := make(chan []byte, 1)
	go func() {
		h := sha256.New()
		for b := range toHash {
			h.Write(b)
			hashed <- b
		}
		sum <- h.Sum(nil)
	}()
	go func() {
		written <- write(f, toWrite, hashed, free)
	}()
	var err error
	for err == nil {
		b := (<-free)[:buffer]
		var n int
		n, err = io.ReadFull(src, b)
		toHash <- b[:n]
		toWrite <- b[:n]
	}
	close(toHash)
	close(toWrite)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // net/http reports a body that is cut short as another error
	}
	return <-sum, errors.Join(err, <-written)
}

// write writes what comes and, once it is hashed too, frees the buffer. After an error it
// goes on freeing, so that nobody waits for ever.
func write(f *os.File, todo <-chan []byte, hashed <-chan []byte, free chan<- []byte) error {
	var failed error
	var at, started int64
	for b := range todo {
		if failed == nil {
			n, err := f.Write(b)
			failed = err
			if at += int64(n); at-started >= writeBack {
				const start = 2 // SYNC_FILE_RANGE_WRITE
				_ = syscall.SyncFileRange(int(f.Fd()), started, at-started, start)
				started = at
			}
		}
		free <- <-hashed // both get the buffers in the same order
	}
	return failed
}
