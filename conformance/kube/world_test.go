package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/kubetest"
)

// org is the organization of all images here.
const org = "acme"

// patience bounds what takes a second or two.
const patience = 60 * time.Second

type object = kubetest.Object

// A world is a server with an organization, a namespace in the cluster, and
// what a kubelet would do there.
type world struct {
	*testing.T
	berth   *berthtest.Server
	token   string // of the administrator, for the management API
	ns      string
	kubelet *kubetest.Kubelet
}

// open runs a server whose users may reach loopback, where the cluster is.
func open(t *testing.T, o berthtest.Options) *world {
	t.Helper()
	o.Settings = append(o.Settings, "--outbound-allow", "127.0.0.0/8")
	return openStrict(t, o)
}

func openStrict(t *testing.T, o berthtest.Options) *world {
	t.Helper()
	if cluster == nil {
		berthtest.Missing(t, berthtest.Kube, "%v", kubetest.ErrMissing)
	}
	w := &world{T: t, berth: berthtest.Start(t, o)}
	w.berth.Org(t, org)
	w.logIn()
	w.ns = w.namespace()
	w.kubelet = cluster.Kubelet(t, w.ns)
	t.Cleanup(func() {
		if err := w.berth.Fsck(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) logIn() {
	w.Helper()
	l := w.berth.Admin()
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":%q}}}}}}`, l.User, l.Password, l.User)
	resp, err := w.berth.Client().Post(w.berth.URL()+"/v3/auth/tokens", "application/json", strings.NewReader(body))
	w.must(err)
	defer resp.Body.Close()
	if w.token = resp.Header.Get("X-Subject-Token"); w.token == "" {
		w.Fatalf("no token: %s", resp.Status)
	}
}

// call sends a request of the management API; body is sent as JSON.
func (w *world) call(method, path string, body any) (int, string) {
	w.Helper()
	text, err := json.Marshal(body)
	w.must(err)
	if body == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(w.Context(), method, w.berth.URL()+"/v2/manage"+path, bytes.NewReader(text))
	w.must(err)
	r.Header.Set("X-Auth-Token", w.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.berth.Client().Do(r)
	w.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, string(answer)
}

// want is call for a request that succeeds.
func (w *world) want(status int, method, path string, body any) string {
	w.Helper()
	got, answer := w.call(method, path, body)
	if got != status {
		w.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	return answer
}

// register registers the cluster with a login, under the name production.
func (w *world) register(login object) {
	w.Helper()
	body := object{"name": "production", "namespaces": []string{w.ns}, "cci": true}
	for k, v := range login {
		body[k] = v
	}
	w.want(201, "POST", "/clusters", body)
}

// namespace makes one.
func (w *world) namespace() string {
	w.Helper()
	o, err := cluster.Create(w.Context(), "/api/v1/namespaces", object{"metadata": object{"generateName": "t-"}})
	w.must(err)
	ns := o["metadata"].(object)["name"].(string)
	w.Cleanup(func() { _ = cluster.Delete(context.Background(), "/api/v1/namespaces/"+ns) }) // goes with the cluster in any case
	return ns
}

// account makes a service account by the manifest that the server shows for
// namespaces, and returns the login of it.
func (w *world) account(namespaces ...string) object {
	w.Helper()
	path := "/clusters/manifest"
	for i, ns := range namespaces {
		path += map[bool]string{true: "?", false: "&"}[i == 0] + "namespace=" + ns
	}
	var shown struct{ Manifest string }
	w.must(json.Unmarshal([]byte(w.want(200, "GET", path, nil)), &shown))
	// Tests share the cluster: each has an account of its own.
	manifest := strings.NewReplacer("name: berth-trigger", "name: "+w.ns, "account.name: berth-trigger", "account.name: "+w.ns).Replace(shown.Manifest)
	for doc := range strings.SplitSeq(manifest, "---\n") {
		err := cluster.CreateYAML(w.Context(), collection(w, doc), doc)
		if e, ok := err.(*kubetest.StatusError); !ok || e.Code != 409 {
			w.must(err)
		}
	}
	return object{"server": cluster.URL, "ca": cluster.CA, "token": w.serviceToken("/api/v1/namespaces/berth/secrets/" + w.ns)}
}

// collection is where an object of the manifest is made.
func collection(w *world, doc string) string {
	ns := w.ns
	switch _, kind, _ := strings.Cut(doc, "\nkind: "); kind[:strings.IndexByte(kind, '\n')] {
	case "Namespace":
		return "/api/v1/namespaces"
	case "ServiceAccount":
		return "/api/v1/namespaces/berth/serviceaccounts"
	case "Secret":
		return "/api/v1/namespaces/berth/secrets"
	case "ClusterRole":
		return "/apis/rbac.authorization.k8s.io/v1/clusterroles"
	case "ClusterRoleBinding":
		return "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	case "RoleBinding":
		return "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns + "/rolebindings"
	}
	w.Fatalf("the manifest has a document of no known kind:\n%s", doc)
	return ""
}

// serviceToken waits for the token that the control plane puts into a secret.
func (w *world) serviceToken(path string) (token string) {
	w.Helper()
	w.until("the secret has a token", func() bool {
		o, err := cluster.Get(w.Context(), path)
		w.must(err)
		data, _ := o["data"].(object)
		text, _ := data["token"].(string)
		token = decode64(w, text)
		return token != ""
	})
	return token
}

// image is how containers name an image of the registry.
func (w *world) image(repo, tag string) string {
	return w.berth.Host + "/" + org + "/" + repo + ":" + tag
}

// push pushes a new image by a client library and returns its digest.
func (w *world) push(repo, tag string) string {
	w.Helper()
	image, err := random.Image(256, 1)
	w.must(err)
	return w.pushImage(repo, tag, image)
}

func (w *world) pushImage(repo, tag string, image v1.Image) string {
	w.Helper()
	ref, err := name.ParseReference(w.image(repo, tag), name.Insecure)
	w.must(err)
	l := w.berth.Admin()
	w.must(remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: l.User, Password: l.Password}), remote.WithContext(w.Context())))
	d, err := image.Digest()
	w.must(err)
	return d.String()
}

// until waits for what must become true.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("never: %s", what)
		}
	}
}
