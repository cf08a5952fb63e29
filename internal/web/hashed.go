package web

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// hashed hashes what is read and ends in io.EOF only if it is what was signed.
type hashed struct {
	src  io.Reader
	hash hash.Hash
	want string // hexadecimal
	err  error  // how it ended
}

func (h *hashed) Read(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	n, err := h.src.Read(p)
	h.hash.Write(p[:n])
	if errors.Is(err, io.EOF) && !iam.SameSum(hex.EncodeToString(h.hash.Sum(nil)), h.want) {
		err = fault.New(fault.Unauthorized, "The body is not the one that was signed.").With(iam.WrongKey)
	}
	h.err = err
	return n, err
}

// Interrupt passes on that nobody has use for the rest, as body.Interrupt does.
func (h *hashed) Interrupt() {
	if i, ok := h.src.(interface{ Interrupt() }); ok {
		i.Interrupt()
	}
}
