package iam

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"berth.dev/berth/internal/db"
)

// MasterKeySize is the length of the master key in bytes.
const MasterKeySize = 32

const (
	sealVersion = 1
	sealID      = 4 // bytes of the key's id in front of what it sealed
)

// A seal encrypts what must stay recoverable (secret keys, signing keys,
// passwords of other systems) with AES-256-GCM under the master key.
type seal struct {
	id   []byte
	aead cipher.AEAD
}

func newSeal(master []byte) (*seal, error) {
	if len(master) != MasterKeySize {
		return nil, fmt.Errorf("iam: the master key has %d bytes, it takes %d", len(master), MasterKeySize)
	}
	block, err := aes.NewCipher(master)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("berth master key id:"), master...))
	return &seal{id: sum[:sealID], aead: aead}, nil
}

// Seal encrypts a secret. The purpose names the row it belongs to, such as
// "access_key:AK"; Unseal refuses the bytes under any other, so that sealed
// values cannot be exchanged between rows.
func (a *Authority) Seal(purpose string, plain []byte) []byte { return a.seal.close(purpose, plain) }

// Unseal opens what Seal made for the same purpose under the same master key.
func (a *Authority) Unseal(purpose string, sealed []byte) ([]byte, error) {
	return a.seal.open(purpose, sealed)
}

func (s *seal) close(purpose string, plain []byte) []byte {
	nonce := randomBytes(s.aead.NonceSize())
	out := make([]byte, 0, 1+sealID+len(nonce)+len(plain)+s.aead.Overhead())
	out = append(out, sealVersion)
	out = append(out, s.id...)
	out = append(out, nonce...)
	return s.aead.Seal(out, nonce, plain, []byte(purpose))
}

func (s *seal) open(purpose string, sealed []byte) ([]byte, error) {
	head := 1 + sealID + s.aead.NonceSize()
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, errors.New("iam: these bytes are not a sealed secret")
	}
	if id := sealed[1 : 1+sealID]; !bytes.Equal(id, s.id) {
		return nil, fmt.Errorf("iam: a secret was sealed under the master key %x, the given one is %x", id, s.id)
	}
	plain, err := s.aead.Open(nil, sealed[1+sealID:head], sealed[head:], []byte(purpose))
	if err != nil {
		return nil, errors.New("iam: a sealed secret was changed or belongs to another row")
	}
	return plain, nil
}

const (
	checkRow   = "iam.master"
	checkPlain = "berth"
)

// What an error of New says of the master key (errors.Is).
var (
	// ErrOtherMaster: the database was begun with another master key.
	ErrOtherMaster = errors.New("iam: this master key does not belong to this database: start with the key that was made at its first start")
	// ErrNotBegun: New failed before anything could be sealed under the key.
	ErrNotBegun = errors.New("iam: not begun")
)

// notBegun makes an error ErrNotBegun as well, without a word more.
type notBegun struct{ error }

func (e notBegun) Unwrap() error        { return e.error }
func (e notBegun) Is(target error) bool { return target == ErrNotBegun }

// checkMaster refuses a master key other than the one this database was begun
// with: the first start leaves a sealed check row.
func (a *Authority) checkMaster(ctx context.Context) error {
	const read = `SELECT value FROM setting WHERE name = $1`
	sealed, err := db.One[[]byte](ctx, a.db, read, checkRow)
	switch {
	case errors.Is(err, db.ErrNone):
		check := a.seal.close(checkRow, []byte(checkPlain))
		sealed, err = db.Update(ctx, a.db, func(tx *db.Tx) ([]byte, error) {
			if _, err := tx.Exec(`INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, checkRow, check); err != nil {
				return nil, err
			}
			return db.One[[]byte](tx.Context(), tx, read, checkRow)
		})
	case err != nil:
		err = notBegun{err}
	}
	if err != nil {
		return fmt.Errorf("iam: the check of the master key: %w", err)
	}
	if _, err := a.seal.open(checkRow, sealed); err != nil {
		return fmt.Errorf("%w (%w)", ErrOtherMaster, err)
	}
	return nil
}

// randomBytes returns n bytes that nobody can guess. crypto/rand does not fail.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
