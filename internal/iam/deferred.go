package iam

import (
	"encoding/json"
	"fmt"
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

// Resume is the caller that Defer wrote down.
func Resume(b []byte) (Caller, error) {
	var d deferred
	if err := json.Unmarshal(b, &d); err != nil {
		return Caller{}, fmt.Errorf("iam: a caller that was written down: %w", err)
	}
	return Caller{Account: d.Account, AccountName: d.AccountName, User: d.User, UserName: d.UserName, Key: d.Key}, nil
}
