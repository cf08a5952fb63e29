package registry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// keysPerBatch is how many storage keys are reserved by one commit.
const keysPerBatch = 32

// keys hands out storage keys that a committed row names already, so that an
// upload can store its first byte at once: a commit for each would cost as much
// as storing a layer of one MiB.
//
// A reserved key is garbage that is not due yet. The row goes in the
// transaction that puts the key into the row of a blob or of an upload
// (adopt); where none does, because the process died or the upload failed, the
// collector deletes the key when it is due.
//
// A key is reserved for twice the life of an upload, handed out in the first
// quarter of that, and may be taken over until the last one begins: a request
// has the life of an upload in any case, and the collector, even of a node
// whose clock is fast, is never at a key that is taken over.
type keys struct {
	db   *db.DB
	life time.Duration // of an upload
	turn chan struct{} // holds a value while someone looks at what follows

	free  []string
	until time.Time // how long free may be handed out
}

func newKeys(d *db.DB, life time.Duration) *keys {
	return &keys{db: d, life: life, turn: make(chan struct{}, 1)}
}

// take returns a key that nobody has used. Whoever finds none reserves some,
// and the others wait.
func (k *keys) take(ctx context.Context) (string, error) {
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return "", fault.Wrap(fault.Unavailable, context.Cause(ctx), "The request was interrupted.")
	}
	defer func() { <-k.turn }()
	// Both clocks count: one stands still while the machine sleeps, the other
	// can be set.
	now := time.Now()
	if len(k.free) == 0 || now.After(k.until) || now.Round(0).After(k.until.Round(0)) {
		until := now.Add(k.life / 2)
		free, err := k.reserve(ctx)
		if err != nil {
			return "", err
		}
		k.free, k.until = free, until
	}
	last := len(k.free) - 1
	key := k.free[last]
	k.free = k.free[:last]
	return key, nil
}

func (k *keys) reserve(ctx context.Context) ([]string, error) {
	reserved := make([]string, keysPerBatch)
	var values strings.Builder
	var keys []any
	for i := range reserved {
		reserved[i] = blob.NewKey()
		if i > 0 {
			values.WriteString(", ")
		}
		values.WriteString("($" + strconv.Itoa(i+2) + ", $1)")
		keys = append(keys, reserved[i])
	}
	return db.Update(ctx, k.db, func(tx *db.Tx) ([]string, error) {
		args := append([]any{tx.Micros() + 2*k.life.Microseconds()}, keys...)
		_, err := tx.Exec(`INSERT INTO garbage (key, due) VALUES `+values.String(), args...)
		return reserved, err
	})
}

// adopt takes a reserved key out of the garbage, in the transaction that names
// it elsewhere; "" is no key. Errors: UploadUnknown where the upload took so
// long that the key may be deleted at any moment.
func adopt(tx *db.Tx, key string, life time.Duration) error {
	if key == "" {
		return nil
	}
	n, err := tx.Exec(`DELETE FROM garbage WHERE key = $1 AND due > $2`, key, tx.Micros()+life.Microseconds()/2)
	if err == nil && n == 0 {
		err = fault.New(fault.UploadUnknown, "This upload took too long; start a new one.")
	}
	return err
}
