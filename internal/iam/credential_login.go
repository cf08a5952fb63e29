package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

type credentialLogin struct {
	Account, User string
	Hash          []byte
}

// byCredential logs in by an access credential, whatever came as the user. To
// guess one is hopeless, so nothing is slowed down. Errors: Unauthorized, with
// WrongToken or ExpiredToken; to whoever has the credential it says what is
// wrong with it.
func (a *Authority) byCredential(ctx context.Context, c credentialWord) (Caller, error) {
	mark := a.prints.of("", c.word)
	v, ok := a.verified.get(mark)
	if !ok {
		row, err := db.One[credentialLogin](ctx, a.db, `SELECT k.account, k.iam_user, c.hash FROM credential c
			JOIN access_key k ON k.access = c.access WHERE c.access = $1`, c.id)
		if err != nil && !errors.Is(err, db.ErrNone) {
			return Caller{}, err
		}
		if err != nil || !c.matches(row.Hash) {
			a.refused.Add(1)
			a.log.Info("login refused", "credential", c.id)
			return Caller{}, unknownCredential()
		}
		v = verified{account: row.Account, user: row.User, key: c.id}
	}
	who, good, err := a.recall(ctx, v)
	if err != nil {
		return Caller{}, err
	}
	if !good {
		a.refused.Add(1)
		return Caller{}, a.whyNot(ctx, c.id)
	}
	if !ok {
		a.verified.put(mark, v)
	}
	return who, nil
}

func unknownCredential() error {
	return fault.New(fault.Unauthorized, "The access credential is not known: it was deleted, or mistyped.").With(WrongToken)
}

// whyNot says what is wrong with a credential that somebody has.
func (a *Authority) whyNot(ctx context.Context, id string) error {
	c, err := db.One[credentialRow](ctx, a.db, selectCredential+`WHERE c.access = $1`, id)
	switch {
	case errors.Is(err, db.ErrNone):
		return unknownCredential()
	case err != nil:
		return err
	case c.Expires != nil && a.now().UnixMicro() >= *c.Expires:
		return fault.New(fault.Unauthorized, "The access credential has expired: create another.").With(ExpiredToken)
	case !c.Enabled:
		return fault.New(fault.Unauthorized, "The access credential is disabled.").With(WrongToken)
	}
	return fault.New(fault.Unauthorized, "The user or the account of the access credential is disabled.").With(WrongToken)
}
