package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"berth.dev/berth/internal/db"
)

// A user may leave work behind that goes on after the request was answered, or
// after a restart. It is done as the same caller: what the user may do is
// looked at anew with every decision.

type deferred struct {
	Account, AccountName, User, UserName, Key string
}

// Defer writes a user down for later. Callers that are no users leave no work.
func (c Caller) Defer() ([]byte, error) {
	if c.System() || c.Anonymous() {
		return nil, fmt.Errorf("iam: %s is no user to work for later", c)
	}
	return json.Marshal(deferred{c.Account, c.AccountName, c.User, c.UserName, c.Key})
}

// Lasting is the caller for work that may be done when a temporary key has
// expired: it counts as work of the key that it was made with, or of none. That
// key and the user can still be disabled. A credential stays one, with its
// limits.
func (a *Authority) Lasting(ctx context.Context, c Caller) (Caller, error) {
	if c.Key == "" {
		return c, nil
	}
	k, err := db.One[parentKey](ctx, a.db, `SELECT kind, parent, expires FROM access_key WHERE access = $1`, c.Key)
	switch {
	case errors.Is(err, db.ErrNone):
		return c, nil // it will be refused
	case err != nil:
		return c, err
	}
	if k.Kind == loginKey || k.Kind == sessionKey {
		c.Key = k.Parent
	}
	return c, nil
}

// Resume is the caller that Defer wrote down.
func Resume(b []byte) (Caller, error) {
	var d deferred
	if err := json.Unmarshal(b, &d); err != nil {
		return Caller{}, fmt.Errorf("iam: a caller that was written down: %w", err)
	}
	return Caller{Account: d.Account, AccountName: d.AccountName, User: d.User, UserName: d.UserName, Key: d.Key}, nil
}
