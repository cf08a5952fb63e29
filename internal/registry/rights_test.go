package registry_test

import (
	"fmt"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// Who has no right to take is passed over, be it for an id that none can be;
// the caller's own right is looked at in any case.
func TestRevokeNobody(t *testing.T) {
	w := open(t, registry.Options{})
	_, err := w.CreateRepo(w.ctx, w.admin, "acme/app", registry.RepoSpec{})
	w.must(err)
	for _, users := range [][]string{nil, {}, {"unknown"}, {"a\x00b"}, {"\xff", ""}} {
		w.must(w.RevokeOrgRights(w.ctx, w.admin, "acme", users))
		w.must(w.RevokeRepoRights(w.ctx, w.admin, "acme/app", users))
		w.want(w.RevokeOrgRights(w.ctx, w.nobody, "acme", users), fault.Denied)
		w.want(w.RevokeRepoRights(w.ctx, w.nobody, "acme/app", users), fault.Denied)
	}
	for _, id := range []string{"a\x00b", "\xff"} {
		w.want(w.GrantOrgRights(w.ctx, w.admin, "acme", []registry.Grant{{User: id, Right: iam.Read}}), fault.UserUnknown)
	}
}

// A user who is deleted while he gets rights has them until then, or is not
// known; it is no failure.
func TestGrantsBesideDeletion(t *testing.T) {
	w := open(t, registry.Options{})
	for i := range 10 {
		name := fmt.Sprint("user", i)
		u, err := w.iam.CreateUser(w.ctx, iam.Operator(), "admin", name, "", false)
		w.must(err)
		ended := make(chan error)
		go func() {
			for {
				if err := w.GrantOrgRights(w.ctx, w.admin, "acme", []registry.Grant{{User: u.ID, Right: iam.Read}}); err != nil && !fault.Is(err, fault.Exists) {
					ended <- err
					return
				}
				if err := w.RevokeOrgRights(w.ctx, w.admin, "acme", []string{u.ID}); err != nil {
					ended <- err
					return
				}
			}
		}()
		time.Sleep(time.Duration(5+i) * time.Millisecond)
		w.must(w.iam.DeleteUser(w.ctx, iam.Operator(), "admin", name))
		w.want(<-ended, fault.UserUnknown)
	}
}
