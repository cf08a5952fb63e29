package registry

import (
	"sync"

	"berth.dev/berth/internal/oci"
)

// uploadIDs remembers in memory what is known of uploads without a row: that
// nothing has come for one yet, or that one was finished by the request that
// began it. Most blobs are that small, and a row for each, read before and
// written after, costs a tenth of their push.
//
// It is a help and no more. What is forgotten, by a restart or because there
// are too many, is looked for in the table; an id that was finished can then
// start again until it is too old, which gives its owner nothing that a new id
// would not.
type uploadIDs struct {
	mu sync.Mutex
	m  map[string]oci.Digest // "": nothing has come yet
}

const maxUploadIDs = 1 << 16

func newUploadIDs() *uploadIDs { return &uploadIDs{m: map[string]oci.Digest{}} }

func (u *uploadIDs) set(nonce string, d oci.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.m) >= maxUploadIDs {
		clear(u.m)
	}
	u.m[nonce] = d
}

// started notes an id that no request has used.
func (u *uploadIDs) started(nonce string) { u.set(nonce, "") }

// finished notes that an upload which never had a row became the blob d.
func (u *uploadIDs) finished(nonce string, d oci.Digest) { u.set(nonce, d) }

// use tells what is known, once for an id that is unused: whoever comes behind
// may find a row.
func (u *uploadIDs) use(nonce string) (d oci.Digest, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d, known = u.m[nonce]
	if known && d == "" {
		delete(u.m, nonce)
	}
	return d, known
}
