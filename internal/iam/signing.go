package iam

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
)

// A signingKey signs what Berth hands out and takes back: tokens, refresh
// tokens and upload ids. Each use has a key of its own, derived from the
// secret in the row.
type signingKey struct {
	kid     string
	raw     [kidSize]byte // the bytes that kid spells
	created int64         // microseconds
	jwt     []byte
	mac     []byte
}

// A ring is the signing keys that still verify, newest first. It is replaced
// as a whole, never changed.
type ring struct{ keys []signingKey }

const (
	kidSize    = 4
	secretSize = 32
	maxSigning = 100

	// A new key signs only when every node has had the time to learn it, and
	// a retired one verifies for as long as anything it signed is good.
	settle     = 10 * time.Second
	keepVerify = RefreshLife + 24*time.Hour
)

func (r *ring) key(kid string) *signingKey {
	for i := range r.keys {
		if r.keys[i].kid == kid {
			return &r.keys[i]
		}
	}
	return nil
}

// current returns the key to sign with: the newest that has settled, else the
// oldest there is.
func (r *ring) current(now time.Time, wait time.Duration) *signingKey {
	for i := range r.keys {
		if r.keys[i].created <= now.Add(-wait).UnixMicro() {
			return &r.keys[i]
		}
	}
	return &r.keys[len(r.keys)-1]
}

func derive(secret []byte, use string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("berth " + use))
	return h.Sum(nil)
}

func sealedSigningKey(kid string) string { return "signing_key:" + kid }

type signingRow struct {
	Kid     string
	Secret  []byte
	Created int64
}

// loadRing reads the signing keys. Loads run one after the other, so that an
// older one never replaces a newer one.
func (a *Authority) loadRing(ctx context.Context) error {
	a.ringMu.Lock()
	defer a.ringMu.Unlock()
	rows, err := db.All[signingRow](ctx, a.db, `SELECT kid, secret, created FROM signing_key
		WHERE retired IS NULL OR retired > $1 ORDER BY created DESC, kid LIMIT $2`,
		a.now().Add(-keepVerify).UnixMicro(), maxSigning)
	if err != nil {
		return fmt.Errorf("iam: signing keys: %w", err)
	}
	next := &ring{}
	for _, r := range rows {
		k := signingKey{kid: r.Kid, created: r.Created}
		if n, err := hex.Decode(k.raw[:], []byte(r.Kid)); err != nil || n != kidSize {
			return fmt.Errorf("iam: the signing key %q has no valid name", r.Kid)
		}
		secret, err := a.Unseal(sealedSigningKey(r.Kid), r.Secret)
		if err != nil {
			return err
		}
		k.jwt, k.mac = derive(secret, "token"), derive(secret, "signature")
		next.keys = append(next.keys, k)
	}
	if len(next.keys) == 0 {
		return fmt.Errorf("iam: there is no signing key")
	}
	a.ring.Store(next)
	return nil
}

// insertSigningKey makes a key that signs from now on.
func (a *Authority) insertSigningKey(tx *db.Tx, kid string, secret []byte) error {
	_, err := tx.Exec(`INSERT INTO signing_key (kid, secret, created) VALUES ($1, $2, $3)`,
		kid, a.Seal(sealedSigningKey(kid), secret), tx.Micros())
	if err != nil {
		return err
	}
	return a.Raise(tx, installation)
}

// firstSigningKey makes a signing key where there is none.
func (a *Authority) firstSigningKey(ctx context.Context) error {
	const count = `SELECT count(*) FROM signing_key WHERE retired IS NULL`
	n, err := db.One[int64](ctx, a.db, count)
	if err == nil && n == 0 {
		kid, secret := hex.EncodeToString(randomBytes(kidSize)), randomBytes(secretSize)
		_, err = db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
			var none struct{}
			n, err := db.One[int64](tx.Context(), tx, count)
			if err != nil || n > 0 {
				return none, err
			}
			return none, a.insertSigningKey(tx, kid, secret)
		})
	}
	if err != nil {
		return fmt.Errorf("iam: the first signing key: %w", err)
	}
	return nil
}

// Rotate makes a new signing key and returns its name. What the earlier keys
// signed stays good until it expires; with drop it ends at once (on other
// nodes within two seconds), which logs everyone out and ends the uploads that
// are open. Errors: Denied.
func (a *Authority) Rotate(ctx context.Context, who Caller, drop bool) (kid string, err error) {
	kid, secret := hex.EncodeToString(randomBytes(kidSize)), randomBytes(secretSize)
	_, err = db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		if err := a.Allow(tx, who, RotateKeys, Resource{}); err != nil {
			return none, err
		}
		if _, err := tx.Exec(`UPDATE signing_key SET retired = $1 WHERE retired IS NULL`, tx.Micros()); err != nil {
			return none, err
		}
		before := tx.Micros() - keepVerify.Microseconds()
		if drop {
			before = tx.Micros()
		}
		if _, err := tx.Exec(`DELETE FROM signing_key WHERE retired <= $1`, before); err != nil {
			return none, err
		}
		if err := a.insertSigningKey(tx, kid, secret); err != nil {
			return none, err
		}
		return none, a.Audit(tx, who, RotateKeys, kid, "ok")
	})
	if err != nil {
		return "", err
	}
	return kid, a.loadRing(context.WithoutCancel(ctx))
}
