// Package blob stores the bytes of blobs: uploads that can be continued,
// verified against their digest, and made durable.
//
// Store does all the thinking: it hashes, counts, checks and resumes. A Driver
// only moves bytes under keys that the Store chose. Which digest lives under
// which key is the caller's knowledge, kept in rows of its own: every key is
// named by a committed row before its first byte is stored, so that nothing in
// storage is ever unaccounted for.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"time"

	"berth.dev/berth/internal/oci"
)

// InlineMax is the largest blob, in bytes, that never touches a Driver: the
// caller keeps it in its own rows.
const InlineMax = 16 << 10

// CheckpointEvery is how many bytes Append receives between two checkpoints.
const CheckpointEvery = 64 << 20

// MaxState is the largest State, in bytes, that a Driver may return.
const MaxState = 4 << 10

// ErrAbsent is in the chain of the error for a key that storage does not have.
var ErrAbsent = errors.New("blob: no such key")

// State is what a Driver needs to continue an upload, opaque to everyone else.
// It is never empty once Begin has returned it.
type State []byte

// Part is a piece of an upload that the storage numbers and names by itself.
// Drivers without such pieces return none.
type Part struct {
	Number int
	Size   int64 // bytes
	ETag   string
}

// Info describes stored bytes.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// Driver moves bytes to and from storage. Its methods may be called
// concurrently, but never two that write to the same key.
//
// Errors a client should hear of are faults: Full when storage has no room,
// Unavailable when it fails, UploadUnknown when a State claims more than is
// stored. An absent key is ErrAbsent.
type Driver interface {
	// Begin creates key, empty. A key that exists already is an error.
	Begin(ctx context.Context, key string) (State, error)
	// Append writes r, to its EOF, behind the bytes that s speaks of; anything
	// stored beyond them was never acknowledged and is dropped first. The State
	// and the parts it returns speak of bytes that survive the process, not yet
	// of bytes that survive a power cut. After an error s is still good.
	Append(ctx context.Context, key string, s State, r io.Reader) (State, []Part, error)
	// Commit makes the bytes that s speaks of durable; UploadUnknown if they are
	// not exactly what is stored. To commit again what was committed is fine.
	// When storage fails to make them durable they are gone, since asked again
	// it might claim success.
	Commit(ctx context.Context, key string, s State, parts []Part) error
	// Abort removes an upload for good, also with an empty State and when key
	// is absent.
	Abort(ctx context.Context, key string, s State) error
	// Open returns a reader that stands at byte off. n is how many bytes will
	// be asked for (-1: all); the reader may hold more. What Append has put in
	// place can be read before Commit.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Stat describes what is stored under key, before Commit too.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes key for good. An absent key is not an error.
	Delete(ctx context.Context, key string) error
	// List yields every key behind after, in byte order, uploads included. An
	// error ends it.
	List(ctx context.Context, after string) iter.Seq2[Info, error]
}

// Upload is how far an upload is. It is a value: the caller keeps it in a row
// between calls and hands it back.
//
// There are three stages. While Key is empty all bytes are in Inline. Where
// storage failed before it had the first of them Key is set, Driver is empty,
// and the bytes of earlier calls are still in Inline. From then on all bytes are in
// storage and Inline is empty.
type Upload struct {
	Key       string        // where the bytes are stored; never used for another upload
	Algorithm oci.Algorithm // of Hash
	Size      int64         // bytes in place
	Hash      []byte        // marshalled state of the hash over the stored bytes
	Driver    State
	Parts     []Part // all parts so far, in order
	Inline    []byte // the bytes themselves while they are at most InlineMax
}

// NewKey returns a key that has never been used: one of 256 shards, and 128
// random bits.
func NewKey() string {
	var b [17]byte
	rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:2] + "/" + h[2:]
}
