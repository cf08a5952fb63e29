package trigger_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/trigger"
)

// A world has clusters over a registry: admin administers the account admin,
// nobody is a user of it, and stranger administers another.
type world struct {
	*trigger.Triggers
	t                       *testing.T
	ctx                     context.Context
	db                      *db.DB
	reg                     *registry.Registry
	queue                   *job.Queue
	admin, nobody, stranger iam.Caller
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), db: dbtest.Open(t)}
	a, err := iam.New(w.ctx, w.db, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	w.must(err)
	t.Cleanup(func() { w.must(a.Close()) })
	files, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"), fsblob.Options{})
	w.must(err)
	t.Cleanup(func() { w.must(files.Close()) })
	w.queue = job.NewQueue(w.db, nil)
	w.reg = registry.New(w.db, a, blob.New(files, blob.Options{}), registry.Options{Jobs: w.queue})
	w.Triggers = trigger.New(w.db, a, w.reg, trigger.Options{Dialer: dial.New(dial.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})})
	_, _, err = a.Bootstrap(w.ctx, "admin-password")
	w.must(err)
	_, err = a.CreateAccount(w.ctx, iam.Operator(), "other")
	w.must(err)
	for name, account := range map[string]string{"nobody": "admin", "stranger": "other"} {
		_, err = a.CreateUser(w.ctx, iam.Operator(), account, name, name+"-password", account == "other")
		w.must(err)
	}
	for name, to := range map[string]*iam.Caller{"admin": &w.admin, "nobody": &w.nobody} {
		*to, err = a.Password(w.ctx, name, name+"-password", "")
		w.must(err)
	}
	token, err := a.PasswordToken(w.ctx, iam.UserRef{Name: "stranger", Account: iam.AccountRef{Name: "other"}}, "stranger-password", "", iam.Scope{})
	w.must(err)
	w.stranger = token.Caller
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, code fault.Code, words ...string) {
	w.t.Helper()
	if fault.CodeOf(err) != code {
		w.t.Errorf("%v, want %q", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("%v does not say %q", err, word)
		}
	}
}

// An apiServer answers as one does to the questions of a registration; a real
// one does so in conformance/kube.
type apiServer struct {
	*httptest.Server
	ca      string
	denied  atomic.Value // string: what is not allowed, "patch deployments"
	tokens  atomic.Value // string: the token that is taken
	reviews atomic.Int64
}

func newServer(t *testing.T) *apiServer {
	s := &apiServer{}
	s.denied.Store("")
	s.tokens.Store("good")
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer "+s.tokens.Load().(string):
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"kind":"Status","message":"Unauthorized","code":401}`)
		case r.URL.Path == "/version":
			fmt.Fprint(w, `{"gitVersion":"v1.36.3"}`)
		case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
			s.reviews.Add(1)
			verb, resource, _ := strings.Cut(s.denied.Load().(string), " ")
			no := resource != "" && strings.Contains(string(body), `"resource":"`+resource+`","verb":"`+verb+`"`)
			fmt.Fprintf(w, `{"status":{"allowed":%t}}`, !no)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s
}

func (s *apiServer) login() trigger.Login {
	return trigger.Login{Access: kube.Access{Server: s.URL, CA: s.ca, Token: "good"}}
}

func TestRegister(t *testing.T) {
	w, s := open(t), newServer(t)
	n := trigger.NewCluster{Name: "production", Login: s.login(), Namespaces: []string{"shop", "blog"}, Marked: true}
	for _, who := range []iam.Caller{w.nobody, {}} {
		_, err := w.Register(w.ctx, who, n)
		w.want(err, map[bool]fault.Code{true: fault.Unauthorized, false: fault.Denied}[who.Anonymous()])
	}
	if s.reviews.Load() > 0 {
		t.Error("the cluster was asked for somebody who may not")
	}
	c, err := w.Register(w.ctx, w.admin, n)
	w.must(err)
	if c.ID == "" || c.Version != "v1.36.3" || c.Error != "" || !c.Marked || strings.Join(c.Namespaces, " ") != "shop blog" || c.CreatorName != "admin" || c.Checked.IsZero() {
		t.Errorf("%+v", c)
	}
	if got := s.reviews.Load(); got != 2*9 {
		t.Errorf("%d permissions were asked for in two namespaces", got)
	}
	_, err = w.Register(w.ctx, w.admin, n)
	w.want(err, fault.Exists)
	n.Name = "second"
	second, err := w.Register(w.ctx, w.admin, n)
	w.must(err)
	list, err := w.Clusters(w.ctx, w.nobody)
	w.must(err)
	if len(list) != 2 || list[0].Marked || !list[1].Marked {
		t.Errorf("two are marked, or none: %+v", list)
	}
	for _, id := range []string{c.ID, "none", "", "\x00"} {
		_, err := w.Cluster(w.ctx, w.stranger, id)
		w.want(err, fault.RuleUnknown)
		w.want(w.DeleteCluster(w.ctx, w.stranger, id, true), fault.RuleUnknown)
		w.want(w.UpdateCluster(w.ctx, w.stranger, id, trigger.ClusterPatch{}), fault.RuleUnknown)
		w.want(w.DeleteCluster(w.ctx, w.nobody, id, true), fault.Denied)
		w.want(w.UpdateCluster(w.ctx, w.nobody, id, trigger.ClusterPatch{}), fault.Denied)
	}
	w.must(w.DeleteCluster(w.ctx, w.admin, second.ID, false))
	_, err = w.Cluster(w.ctx, w.admin, second.ID)
	w.want(err, fault.RuleUnknown)

	// The database has no token that can be read.
	sealed, err := db.One[[]byte](w.ctx, w.db, `SELECT credentials FROM cluster`)
	w.must(err)
	if len(sealed) == 0 || bytes.Contains(sealed, []byte("good")) {
		t.Error("the credentials are not sealed")
	}
}

// Registration says which part is wrong, and by force registers all the same.
func TestProblems(t *testing.T) {
	w, s := open(t), newServer(t)
	other := newServer(t)
	for name, c := range map[string]struct {
		change func(*trigger.NewCluster)
		code   fault.Code
		words  string
		forced fault.Code
	}{
		"no name":        {func(n *trigger.NewCluster) { n.Name = "" }, fault.Missing, "name", fault.Missing},
		"odd name":       {func(n *trigger.NewCluster) { n.Name = "a/b" }, fault.Invalid, "name", fault.Invalid},
		"odd id":         {func(n *trigger.NewCluster) { n.ID = "a b" }, fault.Invalid, "id", fault.Invalid},
		"kept id":        {func(n *trigger.NewCluster) { n.ID = "manifest" }, fault.Invalid, "id", fault.Invalid},
		"odd namespace":  {func(n *trigger.NewCluster) { n.Namespaces = []string{"A"} }, fault.Invalid, "namespaces", fault.Invalid},
		"twice":          {func(n *trigger.NewCluster) { n.Namespaces = []string{"a", "a"} }, fault.Invalid, "namespaces", fault.Invalid},
		"metadata":       {func(n *trigger.NewCluster) { n.Login.Access.Server = "https://169.254.169.254" }, fault.Invalid, "not allow connections", fault.Invalid},
		"both":           {func(n *trigger.NewCluster) { n.Login.Kubeconfig = "{}" }, fault.Invalid, "kubeconfig", fault.Invalid},
		"nothing":        {func(n *trigger.NewCluster) { n.Login = trigger.Login{} }, fault.Missing, "server", fault.Missing},
		"not there":      {func(n *trigger.NewCluster) { n.Login.Access.Server = "https://127.0.0.1:1" }, fault.Invalid, "connection refused", ""},
		"unknown CA":     {func(n *trigger.NewCluster) { n.Login.Access.CA = "" }, fault.Invalid, "authority that is not known", ""},
		"wrong name":     {func(n *trigger.NewCluster) { n.Login.Access.ServerName = "kubernetes.default" }, fault.Invalid, "kubernetes.default", ""},
		"wrong token":    {func(n *trigger.NewCluster) { n.Login.Access.Token = "bad" }, fault.Invalid, "(401)", ""},
		"not allowed":    {func(*trigger.NewCluster) { s.denied.Store("patch statefulsets") }, fault.Invalid, "patch of statefulsets in the namespace shop", ""},
		"no pods":        {func(n *trigger.NewCluster) { s.denied.Store("list pods"); n.Namespaces = nil }, fault.Invalid, "list of pods in all namespaces", ""},
		"another server": {func(n *trigger.NewCluster) { n.Login.Access.Server = other.URL + "/x" }, fault.Invalid, "refuses", ""},
	} {
		s.denied.Store("")
		n := trigger.NewCluster{Name: "production", Login: s.login(), Namespaces: []string{"shop"}}
		c.change(&n)
		_, err := w.Register(w.ctx, w.admin, n)
		w.want(err, c.code, c.words)
		if err != nil && strings.Contains(err.Error(), "good") && !strings.Contains(c.words, "(401)") && strings.Contains(err.Error(), "Bearer") {
			t.Errorf("%s: the token is told: %v", name, err)
		}
		n.Force = true
		made, err := w.Register(w.ctx, w.admin, n)
		if fault.CodeOf(err) != c.forced {
			t.Errorf("%s by force: %v", name, err)
		}
		if err == nil {
			if !strings.Contains(made.Error, c.words) {
				t.Errorf("%s by force: its error is %q", name, made.Error)
			}
			w.must(w.DeleteCluster(w.ctx, w.admin, made.ID, false))
		}
	}
}

// Stored credentials stay with the server that they were given for.
func TestUpdate(t *testing.T) {
	w, s, thief := open(t), newServer(t), newServer(t)
	c, err := w.Register(w.ctx, w.admin, trigger.NewCluster{ID: "c1", Name: "production", Login: s.login()})
	w.must(err)
	patch := func(p trigger.ClusterPatch) error { return w.UpdateCluster(w.ctx, w.admin, c.ID, p) }
	access := func(a kube.Access) trigger.Login { return trigger.Login{Access: a} }
	w.want(patch(trigger.ClusterPatch{Login: access(kube.Access{Server: thief.URL}), Force: true}), fault.Missing, "token")
	w.want(patch(trigger.ClusterPatch{Login: access(kube.Access{Server: s.URL, CA: thief.ca}), Force: true}), fault.Missing, "token")
	w.want(patch(trigger.ClusterPatch{Login: access(kube.Access{Insecure: true}), Force: true}), fault.Missing, "server")
	s.tokens.Store("new")
	w.want(patch(trigger.ClusterPatch{Login: access(kube.Access{Token: "wrong"})}), fault.Invalid, "(401)")
	checked, err := w.CheckCluster(w.ctx, w.admin, c.ID)
	w.must(err)
	if !strings.Contains(checked.Error, "(401)") || checked.Version != "v1.36.3" {
		t.Errorf("%+v", checked)
	}
	w.must(patch(trigger.ClusterPatch{Login: access(kube.Access{Token: "new"})}))
	if checked, err = w.CheckCluster(w.ctx, w.admin, c.ID); err != nil || checked.Error != "" || checked.Server != s.URL {
		t.Errorf("%+v, %v", checked, err)
	}
	marked := true
	w.must(patch(trigger.ClusterPatch{Marked: &marked, Namespaces: &[]string{"shop"}}))
	if got, err := w.Cluster(w.ctx, w.admin, c.ID); err != nil || !got.Marked || len(got.Namespaces) != 1 {
		t.Errorf("%+v, %v", got, err)
	}

	// Triggers keep it, and keep its mark.
	_, err = w.reg.CreateOrg(w.ctx, w.admin, "acme")
	w.must(err)
	const app oci.Name = "acme/app"
	_, err = w.reg.CreateRepo(w.ctx, w.admin, app, registry.RepoSpec{})
	w.must(err)
	tr := registry.Trigger{Name: "t", Condition: registry.EveryTag, Pattern: ".*", Mode: registry.Marked, Namespace: "shop", Workload: registry.Deployments, Application: "web"}
	w.must(w.reg.CreateTrigger(w.ctx, w.admin, app, tr))
	w.want(w.DeleteCluster(w.ctx, w.admin, c.ID, false), fault.InUse)
	marked = false
	w.want(patch(trigger.ClusterPatch{Marked: &marked}), fault.InUse)
	w.must(w.reg.DeleteTrigger(w.ctx, w.admin, app, "t"))
	for _, by := range []registry.Trigger{{ClusterID: "c1"}, {ClusterName: "production"}, {ClusterID: "c1", ClusterName: "production"}} {
		tr.Mode, tr.ClusterID, tr.ClusterName = registry.ByName, by.ClusterID, by.ClusterName
		w.must(w.reg.CreateTrigger(w.ctx, w.admin, app, tr))
		w.want(w.DeleteCluster(w.ctx, w.admin, c.ID, false), fault.InUse)
		w.must(w.reg.DeleteTrigger(w.ctx, w.admin, app, "t"))
	}
	for _, by := range []registry.Trigger{{ClusterID: "c2"}, {ClusterName: "other"}, {ClusterID: "c1", ClusterName: "other"}} {
		tr.ClusterID, tr.ClusterName = by.ClusterID, by.ClusterName
		w.want(w.reg.CreateTrigger(w.ctx, w.admin, app, tr), fault.Invalid, "cluster_")
	}
	tr.ClusterID, tr.ClusterName, tr.Namespace = "c1", "", "elsewhere"
	w.want(w.reg.CreateTrigger(w.ctx, w.admin, app, tr), fault.Invalid, "cluster_ns")
	w.must(patch(trigger.ClusterPatch{Marked: &marked}))
	w.must(w.DeleteCluster(w.ctx, w.admin, c.ID, false))
}
