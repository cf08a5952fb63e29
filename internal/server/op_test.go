package server

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// operate goes once through every operation and returns what it saw, without
// what differs from installation to installation.
func operate(t *testing.T, l *Local) []string {
	t.Helper()
	var seen []string
	note := func(what string, err error) {
		t.Helper()
		if err != nil {
			what += ": " + string(fault.CodeOf(err)) + " " + Explain(err)
		}
		seen = append(seen, what)
	}
	ctx := t.Context()

	a, err := Call(ctx, l, CreateAccount, Named{Name: "acme"})
	note("account "+a.Name, err)
	_, err = Call(ctx, l, CreateAccount, Named{Name: "acme"})
	note("again", err)
	_, err = Call(ctx, l, EnableAccount, Switch{Named: Named{Name: "acme"}, On: false})
	note("disable", err)
	path := "root/acme"
	a, err = Call(ctx, l, ChangeAccount, SetAccount{Named: Named{Name: "acme"}, OrgPath: &path})
	note("account in "+a.OrgPath+" "+a.OrgID, err)
	_, err = Call(ctx, l, ChangeAccount, SetAccount{Named: Named{Name: "nowhere"}, OrgPath: &path})
	note("nowhere", err)
	accounts, err := Call(ctx, l, ListAccounts, List{})
	for _, a := range accounts.Items {
		note("account "+a.Name+map[bool]string{true: " on", false: " off"}[a.Enabled], err)
	}

	u, err := Call(ctx, l, CreateUser, NewUser{Named: Named{Name: "alice"}, Password: "a long enough password"})
	note("user "+u.Name, err)
	_, err = Call(ctx, l, CreateUser, NewUser{Named: Named{Name: "bob"}, Password: "x"})
	note("short password", err)
	_, err = Call(ctx, l, SetPassword, Password{Named: Named{Name: "alice"}, Password: "another long password"})
	note("password", err)
	_, err = Call(ctx, l, SetAdmin, Switch{Named: Named{Name: "alice"}, On: true})
	note("admin", err)
	_, err = Call(ctx, l, EnableUser, Switch{Named: Named{Name: "alice"}, On: false})
	note("disable", err)
	text := "on call"
	u, err = Call(ctx, l, ChangeUser, SetUser{Named: Named{Name: "alice"}, Description: &text})
	note("user "+u.Name+" "+u.Description+" "+u.AccessMode, err)
	_, err = Call(ctx, l, EnableUser, Switch{Named: Named{Name: "nobody"}, On: false})
	note("disable nobody", err)
	users, err := Call(ctx, l, ListUsers, List{})
	for _, u := range users.Items {
		note("user "+u.Name+map[bool]string{true: " on", false: " off"}[u.Enabled], err)
	}

	k, err := Call(ctx, l, CreateKey, NewKey{Named: Named{Name: "alice"}, Description: "d"})
	if k.Access == "" || k.Secret == "" || k.User != u.ID || k.Account != u.Account || k.Project == "" {
		t.Errorf("key %+v", k)
	}
	note("key of "+k.UserName+" "+k.AccountName+" "+k.ProjectName, err)
	_, err = Call(ctx, l, EnableKey, Switch{Named: Named{Name: k.Access}, On: false})
	note("disable", err)
	keys, err := Call(ctx, l, ListKeys, Named{Name: "alice"})
	if len(keys) != 1 || keys[0].Access != k.Access || keys[0].Enabled || keys[0].Expires != nil {
		t.Errorf("keys %+v", keys)
	}
	note("keys", err)
	changed, err := Call(ctx, l, ChangeKey, SetKey{Named: Named{Name: k.Access}, Description: &text})
	note("key "+changed.Description, err)
	_, err = Call(ctx, l, RotateSigning, Rotation{})
	note("rotate", err)
	_, err = Call(ctx, l, DeleteKey, Named{Name: k.Access})
	note("delete", err)
	_, err = Call(ctx, l, DeleteKey, Named{Name: "NOSUCHKEY"})
	note("delete no key", err)

	o, err := Call(ctx, l, CreateOrg, NewOrg{Named: Named{Name: "demo"}})
	note("org "+o.Name, err)
	_, err = Call(ctx, l, CreateOrg, NewOrg{Named: Named{Name: "Demo"}})
	note("org with capital", err)
	_, err = Call(ctx, l, CreateOrg, NewOrg{Named: Named{Name: "other", Account: "nowhere"}})
	note("org of no account", err)
	orgs, err := Call(ctx, l, ListOrgs, List{})
	for _, o := range orgs.Items {
		note("org "+o.Name, err)
	}
	for _, right := range []iam.Right{iam.Read, iam.Edit} {
		_, err = Call(ctx, l, SetGrant, Granting{On: "demo", User: "alice", Auth: right})
		note("grant", err)
	}
	grants, err := Call(ctx, l, ListGrants, List{In: "demo"})
	for _, g := range grants.Items {
		note("grant "+g.UserName+" "+g.Auth.String(), err)
	}
	_, err = Call(ctx, l, RemoveGrant, Granting{On: "demo", User: "alice"})
	note("remove", err)
	_, err = Call(ctx, l, SetGrant, Granting{On: "demo/none", User: "alice", Auth: iam.Read})
	note("grant on no repository", err)
	_, err = Call(ctx, l, RemoveGrant, Granting{On: "demo/UPPER", User: "alice"})
	note("remove on no name", err)
	_, err = Call(ctx, l, ListGrants, List{In: "demo", After: "x"})
	note("page of nothing", err)

	repos, err := Call(ctx, l, ListRepos, List{In: "demo"})
	note(strings.Repeat("repo ", len(repos.Items)), err)
	_, err = Call(ctx, l, SetPublic, Switch{Named: Named{Name: "demo/none"}, On: true})
	note("public", err)
	_, err = Call(ctx, l, DeleteRepo, Switch{Named: Named{Name: "demo"}})
	note("delete no repository", err)
	_, err = Call(ctx, l, ListTags, List{In: "demo/none"})
	note("tags", err)
	_, err = Call(ctx, l, TagHistory, TagName{Repo: "demo/none", Tag: "x", After: "y"})
	note("history", err)
	_, err = Call(ctx, l, DeleteTag, TagName{Repo: "demo/none", Tag: "x"})
	note("delete tag", err)
	report, err := Call(ctx, l, Fsck, Check{Deep: true})
	if report.Findings != 0 {
		t.Errorf("findings %+v", report)
	}
	note("fsck", err)
	_, err = Call(ctx, l, DeleteOrg, Named{Name: "demo"})
	note("delete org", err)
	_, err = Call(ctx, l, DeleteUser, Named{Name: "alice"})
	note("delete user", err)
	return seen
}

func TestOperationsAreTheSameWithAndWithoutServer(t *testing.T) {
	alone := config(t)
	direct := operate(t, local(t, &alone, true))
	served := config(t)
	start(t, served)
	l := local(t, &served, true)
	if l.remote == nil {
		t.Fatal("the command does not use the running server")
	}
	overSocket := operate(t, l)
	if d := cmp.Diff(direct, overSocket); d != "" {
		t.Error(d)
	}
	t.Log(strings.Join(direct, "\n"))
}

func TestListsOfManyPages(t *testing.T) {
	cfg := config(t)
	l := local(t, &cfg, true)
	p := pageOf([]string{"a", "b"}, true, strings.ToUpper, strings.ToLower)
	if d := cmp.Diff(Page[string]{Items: []string{"A", "B"}, More: true, Next: "b"}, p); d != "" {
		t.Error(d)
	}
	orgs, err := Call(t.Context(), l, ListOrgs, List{})
	if err != nil || orgs.Items == nil || orgs.More {
		t.Errorf("%+v, %v: an empty list is a list", orgs, err)
	}
}

func TestOperationsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range endpoints() {
		if seen[e.name] {
			t.Errorf("%s stands twice in the table", e.name)
		}
		seen[e.name] = true
	}
}

func TestSocketRefuses(t *testing.T) {
	srv := httptest.NewServer(socketHandler(&core{}))
	defer srv.Close()
	for name, tt := range map[string]struct {
		method, path, body string
		code               fault.Code
	}{
		"unknown operation": {"POST", "/org.rename", `{}`, fault.Unsupported},
		"GET":               {"GET", "/org.list", ``, fault.Unsupported},
		"no JSON":           {"POST", "/org.list", `[`, fault.Invalid},
		"an unknown member": {"POST", "/org.list", `{"inn":"x"}`, fault.Invalid},
		"too much":          {"POST", "/org.list", `{"in":"` + strings.Repeat("x", socketBody) + `"}`, fault.TooLarge},
	} {
		req, err := http.NewRequest(tt.method, srv.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		res, body := do(t, req)
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":"`+string(tt.code)+`"`) {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
	}
}

func TestSocketTellsWhatWentWrongInside(t *testing.T) {
	w := httptest.NewRecorder()
	answer(w, nil, errors.New("disk on fire"))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "disk on fire") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSocketKnowsItsPeer(t *testing.T) {
	// A path longer than a socket's address may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	short, done, err := shortPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	c, err := net.Dial("unix", short)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	uid, err := peerUID(other)
	if err != nil || uid != os.Geteuid() {
		t.Errorf("uid %d, %v", uid, err)
	}
	if !mayOperate(os.Geteuid()) || !mayOperate(0) || mayOperate(os.Geteuid()+1) {
		t.Error("others than the owner and root get in")
	}
}
