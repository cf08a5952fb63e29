package iam

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// RefreshLife is how long a refresh token is good. A change of the password,
// or the end of the key that logged in, ends it earlier.
const RefreshLife = 30 * 24 * time.Hour

const (
	refreshPurpose = "refresh"
	refreshHead    = 16 // expiry and password version
)

// IssueRefresh makes a refresh token for a user who has just logged in.
func (a *Authority) IssueRefresh(ctx context.Context, who Caller) (string, error) {
	if who.System() || who.Anonymous() {
		return "", errors.New("iam: a refresh token is for users")
	}
	s, err := a.standing(ctx, who.Account, ask{user: who.User, key: who.Key})
	if err != nil {
		return "", err
	}
	now := a.now()
	if !s.good(now) {
		return "", badToken(nil)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Add(RefreshLife).Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Version))
	b = append(b, who.Account+" "+who.User+" "+who.Key...)
	return a.Sign(refreshPurpose, b), nil
}

// Refresh returns whom a refresh token was made for. Errors:
// fault.Unauthorized.
func (a *Authority) Refresh(ctx context.Context, raw string) (Caller, error) {
	b, err := a.Verify(refreshPurpose, raw)
	if err != nil {
		return Caller{}, badToken(err)
	}
	if len(b) < refreshHead {
		return Caller{}, badToken(nil)
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	version := int64(binary.BigEndian.Uint64(b[8:]))
	names := strings.Split(string(b[refreshHead:]), " ")
	if len(names) != 3 || !a.now().Before(expires) {
		return Caller{}, badToken(nil)
	}
	v := verified{account: names[0], user: names[1], key: names[2], version: version}
	who, ok, err := a.recall(ctx, v)
	if err != nil {
		return Caller{}, err
	}
	if !ok {
		return Caller{}, a.ended(ctx, v.key)
	}
	return who, nil
}
