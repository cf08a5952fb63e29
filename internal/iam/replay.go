package iam

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// changing are the methods whose signatures count once, where that is wanted.
var changing = map[string]bool{"POST": true, "PUT": true, "PATCH": true, "DELETE": true}

// useOnce refuses a signature that was used before, on whichever node and
// before whichever restart. It is remembered while its date is good, which is
// what bounds the table: two windows of what the owners of keys have sent.
func (a *Authority) useOnce(ctx context.Context, method string, s *signature) error {
	if !a.o.RefuseReplay || !changing[method] {
		return nil
	}
	until := s.date.Add(signatureWindow).UnixMicro()
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		n, err := tx.Exec(`INSERT INTO used_signature (access, signature, expires) VALUES ($1, $2, $3)
			ON CONFLICT (access, signature) DO NOTHING`, s.access, s.mac, until)
		if err == nil && n == 0 {
			err = fault.New(fault.Unauthorized, "This signature was used before: sign the request again.").With(WrongKey)
		}
		return none, err
	})
	return err
}
