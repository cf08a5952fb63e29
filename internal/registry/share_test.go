package registry_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// account makes an account with a user of the same name, who is no
// administrator.
func (w *world) account(name string) (iam.Account, iam.Caller) {
	w.t.Helper()
	a, err := w.iam.CreateAccount(w.ctx, iam.Operator(), name)
	w.must(err)
	_, err = w.iam.CreateUser(w.ctx, iam.Operator(), name, name, name+"-password", false)
	w.must(err)
	return a, w.login(name+"/"+name, name+"-password")
}

// place puts an account into a directory of organizations.
func (w *world) place(account, orgID, orgPath string) {
	w.t.Helper()
	w.change(account, `UPDATE account SET org_id = $2, org_path = $3 WHERE id = $1`, account, orgID, orgPath)
}

// change runs a statement and ends what is cached of an account.
func (w *world) change(account, text string, args ...any) {
	w.t.Helper()
	_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
		n, err := tx.Exec(text, args...)
		if err == nil {
			err = w.iam.Raise(tx, account)
		}
		return n, err
	})
	w.must(err)
}

func (w *world) share(name oci.Name, account, deadline string) {
	w.t.Helper()
	w.must(w.ShareWithAccount(w.ctx, w.admin, name, account, deadline, ""))
}

func TestShareRules(t *testing.T) {
	w := open(t, registry.Options{})
	partner, guest := w.account("partner")
	w.push("acme/app", "v1", w.image("acme/app", "app", 10))
	d, err := w.Manifest(w.ctx, w.admin, "acme/app", tagRef("v1"), false)
	w.must(err)
	pull := func() error {
		_, err := w.Manifest(w.ctx, guest, "acme/app", tagRef("v1"), false)
		return err
	}
	w.want(pull(), fault.Denied)

	forever, text := registry.Forever, "for tests"
	id, err := w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetAccountID, partner.ID, "2099-12-31", text)
	w.must(err)
	w.must(pull())
	_, err = w.Manifest(w.ctx, guest, "acme/app", digestRef(d.Digest), false)
	w.must(err)
	_, err = w.Tags(w.ctx, guest, "acme/app", "", 10)
	w.must(err)
	_, err = w.Repo(w.ctx, guest, "acme/app")
	w.want(err, fault.Denied)
	_, err = w.Manifest(w.ctx, guest, "acme/none", tagRef("v1"), false)
	w.want(err, fault.Denied)

	// It is found by the account's name too, and is the only one for it.
	s, there, err := w.AccountShare(w.ctx, w.admin, "acme/app", "partner")
	w.must(err)
	want := registry.Share{ID: id, Repo: "acme/app", Kind: registry.TargetAccountID, Target: partner.ID, Account: "partner", Deadline: "2099-12-31T00:00:00Z",
		Description: text, Creator: w.admin.User, CreatorName: "admin", Created: s.Created, Updated: s.Updated, Valid: true}
	if diff := cmp.Diff(want, s); diff != "" || !there {
		t.Errorf("%v: %s", there, diff)
	}
	w.want(w.ShareWithAccount(w.ctx, w.admin, "acme/app", "partner", forever, ""), fault.Exists)
	w.must(w.UpdateShare(w.ctx, w.admin, "acme/app", id, registry.SharePatch{Deadline: &forever}))
	list, err := w.AccountShares(w.ctx, w.admin, "acme/app")
	w.must(err)
	if len(list) != 1 || list[0].Deadline != forever || list[0].Description != text || !list[0].Updated.After(list[0].Created) {
		t.Errorf("list: %+v", list)
	}
	w.must(w.EndAccountShare(w.ctx, w.admin, "acme/app", "partner"))
	w.want(pull(), fault.Denied)
	w.want(w.EndAccountShare(w.ctx, w.admin, "acme/app", "partner"), fault.ShareUnknown)
	w.want(w.DeleteShare(w.ctx, w.admin, "acme/app", id), fault.ShareUnknown)
	if _, there, err := w.AccountShare(w.ctx, w.admin, "acme/app", "partner"); there || err != nil {
		t.Errorf("after its end: %v, %v", there, err)
	}

	// Organizations.
	byOrg, err := w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetOrgID, "o-1", forever, "")
	w.must(err)
	byPath, err := w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetOrgPath, "/root/dev/", forever, "")
	w.must(err)
	w.want(pull(), fault.Denied)
	w.place(partner.ID, "o-1", "")
	w.must(pull())
	w.place(partner.ID, "o-2", "root/dev/team")
	w.must(pull())
	w.must(w.DeleteShare(w.ctx, w.admin, "acme/app", byPath))
	w.want(pull(), fault.Denied)
	if list, err := w.AccountShares(w.ctx, w.admin, "acme/app"); err != nil || len(list) != 0 {
		t.Errorf("rules for accounts: %+v, %v", list, err)
	}
	all, err := w.Shares(w.ctx, w.admin, "acme/app")
	w.must(err)
	if len(all) != 1 || all[0].ID != byOrg || all[0].Kind != registry.TargetOrgID || all[0].Target != "o-1" || all[0].Account != "" {
		t.Errorf("rules: %+v", all)
	}

	// With the repository its rules go.
	w.place(partner.ID, "o-1", "")
	w.must(pull())
	w.must(w.DeleteTag(w.ctx, w.admin, "acme/app", "v1"))
	w.must(w.DeleteRepo(w.ctx, w.admin, "acme/app"))
	w.want(pull(), fault.Denied)
	w.push("acme/app", "v1", w.image("acme/app", "app", 10))
	w.want(pull(), fault.Denied)
}

func TestShareRefusals(t *testing.T) {
	w := open(t, registry.Options{MaxShares: 2})
	_, guest := w.account("partner")
	public := true
	for name, s := range map[oci.Name]registry.RepoSpec{"acme/app": {}, "acme/public": {Public: public}} {
		_, err := w.CreateRepo(w.ctx, w.admin, name, s)
		w.must(err)
	}
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format("2006-01-02")
	today := time.Now().UTC().Format("2006-01-02")
	for _, tt := range []struct {
		who                  iam.Caller
		name                 oci.Name
		kind                 registry.TargetKind
		target, until, about string
		code                 fault.Code
	}{
		{w.nobody, "acme/app", registry.TargetAccount, "partner", "forever", "", fault.Denied},
		{guest, "acme/app", registry.TargetAccount, "partner", "forever", "", fault.Denied},
		{iam.Caller{}, "acme/app", registry.TargetAccount, "partner", "forever", "", fault.Unauthorized},
		{w.admin, "acme/none", registry.TargetAccount, "partner", "forever", "", fault.RepoUnknown},
		{w.admin, "acme/public", registry.TargetAccount, "partner", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "admin", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "unknown", "forever", "", fault.AccountUnknown},
		{w.admin, "acme/app", registry.TargetAccount, "", "forever", "", fault.AccountUnknown},
		{w.admin, "acme/app", registry.TargetAccount, "part\x00ner", "forever", "", fault.AccountUnknown},
		{w.admin, "acme/app", registry.TargetAccountID, "partner", "forever", "", fault.AccountUnknown},
		{w.admin, "acme/app", registry.TargetOrgID, "", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetOrgID, "a\x00b", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetOrgPath, "/", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetOrgPath, "root//dev", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetOrgPath, strings.Repeat("x", 1025), "forever", "", fault.Invalid},
		{w.admin, "acme/app", "everyone", "partner", "forever", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "partner", "tomorrow", "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "partner", yesterday, "", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "partner", "forever", strings.Repeat("ä", 1001), fault.TooLong},
		{w.admin, "acme/app", registry.TargetAccount, "partner", "forever", "a\x00b", fault.Invalid},
		{w.admin, "acme/app", registry.TargetAccount, "partner", today, strings.Repeat("ä", 1000), ""},
		{w.admin, "acme/app", registry.TargetOrgPath, "root/dev", "forever", "", ""},
		{w.admin, "acme/app", registry.TargetOrgPath, "/root/dev/", "forever", "", fault.Exists},
		{w.admin, "acme/app", registry.TargetOrgPath, "root", "forever", "", fault.Quota},
	} {
		_, err := w.CreateShare(w.ctx, tt.who, tt.name, tt.kind, tt.target, tt.until, tt.about)
		if fault.CodeOf(err) != tt.code {
			t.Errorf("%v shares %s with %s %q until %s: %v, want %q", tt.who, tt.name, tt.kind, tt.target, tt.until, err, tt.code)
		}
	}
	w.want(w.ChangeAccountShare(w.ctx, w.admin, "acme/app", "partner", registry.SharePatch{Deadline: &yesterday}), fault.Invalid)
	w.want(w.ChangeAccountShare(w.ctx, w.admin, "acme/app", "other", registry.SharePatch{Deadline: &today}), fault.ShareUnknown)
	w.want(w.ChangeAccountShare(w.ctx, w.admin, "acme/app", "\x00", registry.SharePatch{Deadline: &today}), fault.ShareUnknown)
	w.want(w.ChangeAccountShare(w.ctx, guest, "acme/app", "partner", registry.SharePatch{Deadline: &today}), fault.Denied)
	_, err := w.Shares(w.ctx, guest, "acme/app")
	w.want(err, fault.Denied)
}

func TestShareWithAccountToCome(t *testing.T) {
	w := open(t, registry.Options{ShareUnknown: true})
	_, err := w.CreateRepo(w.ctx, w.admin, "acme/app", registry.RepoSpec{})
	w.must(err)
	w.share("acme/app", "partner", "forever")
	w.want(w.ShareWithAccount(w.ctx, w.admin, "acme/app", "partner", "forever", ""), fault.Exists)
	w.want(w.ShareWithAccount(w.ctx, w.admin, "acme/app", "no/name", "forever", ""), fault.AccountUnknown)
	partner, guest := w.account("partner")
	_, err = w.Tags(w.ctx, guest, "acme/app", "", 10)
	w.must(err)
	w.want(w.ShareWithAccount(w.ctx, w.admin, "acme/app", "partner", "forever", ""), fault.Exists)
	_, err = w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetAccountID, partner.ID, "forever", "")
	w.want(err, fault.Exists)
	w.must(w.EndAccountShare(w.ctx, w.admin, "acme/app", "partner"))
	_, err = w.Tags(w.ctx, guest, "acme/app", "", 10)
	w.want(err, fault.Denied)
}

func TestMountFromShared(t *testing.T) {
	w := open(t, registry.Options{})
	_, err := w.iam.CreateAccount(w.ctx, iam.Operator(), "partner")
	w.must(err)
	_, err = w.iam.CreateUser(w.ctx, iam.Operator(), "partner", "boss", "boss-password", true)
	w.must(err)
	boss := w.login("partner/boss", "boss-password")
	_, err = w.CreateOrg(w.ctx, boss, "theirs")
	w.must(err)
	d := w.pushBlob("acme/app", []byte("layer"))
	mount := func(from oci.Name) bool {
		t.Helper()
		_, ok, err := w.Mount(w.ctx, boss, "theirs/copy", d, from, nil)
		w.must(err)
		return ok
	}
	if mount("acme/app") || mount("") {
		t.Fatal("mounted from a repository of another account")
	}
	w.share("acme/app", "partner", "forever")
	if !mount("acme/app") {
		t.Error("not mounted from a shared repository")
	}
	w.must(w.DeleteBlob(w.ctx, boss, "theirs/copy", d))
	if !mount("") {
		t.Error("a shared repository was not found")
	}
	w.must(w.DeleteBlob(w.ctx, boss, "theirs/copy", d))
	w.must(w.EndAccountShare(w.ctx, w.admin, "acme/app", "partner"))
	if mount("acme/app") || mount("") {
		t.Error("mounted after the end of the share")
	}
	// Sharing never lets anyone write.
	w.share("acme/app", "partner", "forever")
	_, err = w.PutBlob(w.ctx, boss, "acme/app", 1, bytes.NewReader([]byte("x")), digestOf([]byte("x")))
	w.want(err, fault.Denied)
	w.want(w.DeleteBlob(w.ctx, boss, "acme/app", d), fault.Denied)
}

// The quota and the number that it counts hold, whoever comes together.
func TestSharesTogether(t *testing.T) {
	w := open(t, registry.Options{MaxShares: 5})
	_, err := w.CreateRepo(w.ctx, w.admin, "acme/app", registry.RepoSpec{})
	w.must(err)
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	for i := range 12 {
		all.Go(func() {
			_, err := w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetOrgID, fmt.Sprintf("o-%d", i/2), "forever", "")
			mu.Lock()
			defer mu.Unlock()
			codes[fault.CodeOf(err)]++
		})
	}
	all.Wait()
	if codes[""] != 5 || codes[fault.Quota]+codes[fault.Exists] != 7 {
		t.Errorf("%v", codes)
	}
	list, err := w.Shares(w.ctx, w.admin, "acme/app")
	w.must(err)
	for range 2 {
		for _, s := range list {
			all.Go(func() {
				if err := w.DeleteShare(w.ctx, w.admin, "acme/app", s.ID); err != nil && !fault.Is(err, fault.ShareUnknown) {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
}
