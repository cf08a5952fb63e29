package iam

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"berth.dev/berth/internal/fault"
)

// Argon is the cost of one argon2id run. The zero value is the recommended
// setting; tests take less.
type Argon struct {
	Memory uint32 // KiB, default 19 MiB
	Passes uint32 // default 2
}

const (
	saltSize = 16
	hashSize = 32

	// The bounds of what a stored hash may ask for.
	maxMemory = 1 << 20 // KiB
	maxPasses = 64

	hashQueue = 64               // callers that may wait for a core
	hashWait  = 15 * time.Second // how long they wait at most
)

// A hasher runs argon2id, at most one run per core at once.
type hasher struct {
	cost    Argon
	dummy   string // a hash that no password has, for users that do not exist
	cores   chan struct{}
	waiting atomic.Int64
	runs    atomic.Int64
}

func newHasher(cost Argon) *hasher {
	if cost.Memory == 0 {
		cost.Memory = 19 << 10
	}
	if cost.Passes == 0 {
		cost.Passes = 2
	}
	h := &hasher{cost: cost, cores: make(chan struct{}, runtime.GOMAXPROCS(0))}
	// The hash is random bytes itself: finding a password for it is hopeless.
	h.dummy = phc(cost, randomBytes(saltSize), randomBytes(hashSize))
	return h
}

// acquire waits for a core. Errors: TooMany when too many wait already or the
// wait is too long.
func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-h.cores }
	select {
	case h.cores <- struct{}{}:
		return release, nil
	default:
	}
	busy := fault.New(fault.TooMany, "Too many logins at once: try again in a moment.").With(time.Second)
	if h.waiting.Add(1) > hashQueue {
		h.waiting.Add(-1)
		return nil, busy
	}
	defer h.waiting.Add(-1)
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case h.cores <- struct{}{}:
		return release, nil
	case <-timer.C:
		return nil, busy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash makes the PHC string of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	h.runs.Add(1)
	salt := randomBytes(saltSize)
	return phc(h.cost, salt, argon2.IDKey([]byte(password), salt, h.cost.Passes, h.cost.Memory, 1, hashSize)), nil
}

// verify compares a password with a stored hash. An empty hash is that of a
// user who does not exist or cannot log in: nothing matches it, at the same
// cost.
func (h *hasher) verify(ctx context.Context, stored, password string) (bool, error) {
	exists := stored != ""
	if !exists {
		stored = h.dummy
	}
	cost, salt, want, err := parsePHC(stored)
	if err != nil {
		return false, err
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	h.runs.Add(1)
	got := argon2.IDKey([]byte(password), salt, cost.Passes, cost.Memory, 1, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && exists, nil
}

// phc is the string format of the password hashing competition.
func phc(cost Argon, salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, cost.Memory, cost.Passes,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

func parsePHC(s string) (cost Argon, salt, sum []byte, err error) {
	bad := fmt.Errorf("iam: a stored password hash is not argon2id with p=1")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return cost, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &cost.Memory, &cost.Passes); err != nil || n != 2 ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=1", cost.Memory, cost.Passes) ||
		cost.Memory < 8 || cost.Memory > maxMemory || cost.Passes < 1 || cost.Passes > maxPasses {
		return cost, nil, nil, bad
	}
	b64 := base64.RawStdEncoding.Strict()
	if salt, err = b64.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return cost, nil, nil, bad
	}
	if sum, err = b64.DecodeString(parts[5]); err != nil || len(sum) < 16 || len(sum) > 64 {
		return cost, nil, nil, bad
	}
	return cost, salt, sum, nil
}
