package kube

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
)

// What cannot be done is said as it is.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	w.register(w.account(w.ns))
	workload{w, "deployments", "missing"}.trigger()
	other := w.workload("deployments", "other", "registry.k8s.io/pause:3")
	other.trigger()
	named := w.workload("deployments", "named", w.image("app", "v1"))
	named.trigger("container", "prepare")
	workload{w, "statefulsets", "named"}.trigger("name", "kind")
	short := func(spec object) { spec["progressDeadlineSeconds"] = 3 }
	w.kubelet.Break("app:v2", "Back-off pulling image: manifest unknown")
	broken := w.workload("deployments", "broken", w.image("app", "v1"), short)
	broken.trigger()
	v2 := w.push("app", "v2")
	for name, detail := range map[string]string{
		"missing": "There is no Deployment missing",
		"other":   "No container of Deployment other",
		"named":   "The container prepare of Deployment named in the namespace " + w.ns + " runs busybox:1",
		"kind":    "There is no StatefulSet named",
		"broken":  "ImagePullBackOff: Back-off pulling image: manifest unknown",
	} {
		w.result(w.ended(name, 1), "failed", "v2", v2, detail)
	}
	if got := strings.Fields(other.images())[1]; got != "registry.k8s.io/pause:3" {
		t.Errorf("the image of another registry became %s", got)
	}
}

// A quota that forbids the new pods is the reason.
func TestQuota(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	w.register(w.account(w.ns))
	x := w.workload("deployments", "web", w.image("app", "v1"), func(spec object) { spec["progressDeadlineSeconds"] = 3 })
	x.trigger()
	_, err := cluster.Create(t.Context(), "/api/v1/namespaces/"+w.ns+"/resourcequotas", object{"metadata": object{"name": "few"}, "spec": object{"hard": object{"pods": "2"}}})
	w.must(err)
	w.until("the quota counts", func() bool {
		o, err := cluster.Get(t.Context(), "/api/v1/namespaces/"+w.ns+"/resourcequotas/few")
		w.must(err)
		used, _ := o["status"].(object)["used"].(object)
		return used["pods"] == "2"
	})
	w.result(w.ended2(x, "v2"), "failed", "v2", "", "exceeded quota")
}

// ended2 pushes and returns the first result, without its digest.
func (w *world) ended2(x workload, tag string) entry {
	w.Helper()
	w.push("app", tag)
	e := w.ended(x.name, 1)
	e.Digest = ""
	return e
}

// An account that has lost its rights is denied, in the words of the API server;
// one that never had them is not registered.
func TestDenied(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	login := w.account(w.ns)
	poor := w.namespace()
	refused := func(change object, detail string) {
		t.Helper()
		body := object{"name": "poor", "namespaces": []string{poor}}
		for _, from := range []object{login, change} {
			for k, v := range from {
				body[k] = v
			}
		}
		if got, answer := w.call("POST", "/clusters", body); got != 400 || !strings.Contains(answer, detail) {
			t.Errorf("%v: %d %s, want %q", change, got, answer, detail)
		}
	}
	refused(object{}, "get, list, watch, patch of deployments in the namespace "+poor)
	refused(object{"namespaces": []string{}}, "deployments in all namespaces")
	refused(object{"token": "wrong"}, "does not accept the credentials (401)")
	refused(object{"ca": ""}, "authority that is not known")
	refused(object{"server": "https://127.0.0.1:1"}, "connection refused")
	refused(object{"server": "https://no-such-host.invalid"}, "has no address")
	refused(object{"server": w.berth.URL()}, "https://")
	refused(object{"server": "https://" + w.berth.Host}, "does not speak TLS")
	refused(object{"insecure_skip_tls_verify": true}, "not allowed by the operator")

	w.register(login)
	x := w.workload("deployments", "web", w.image("app", "v1"))
	x.trigger()
	w.must(cluster.Delete(t.Context(), "/apis/rbac.authorization.k8s.io/v1/namespaces/"+w.ns+"/rolebindings/"+w.ns))
	time.Sleep(time.Second) // until the API server has noticed
	w.result(w.ended2(x, "v2"), "failed", "v2", "", `Denied: deployments.apps "web" is forbidden`)
	shown := w.want(200, "GET", "/clusters", nil)
	if strings.Contains(shown, login["token"].(string)) {
		t.Error("the token is shown")
	}
	if got, answer := w.call("DELETE", "/clusters/"+w.clusterID(), nil); got != 409 {
		t.Errorf("a cluster in use was deleted: %d %s", got, answer)
	}
	w.want(204, "DELETE", "/clusters/"+w.clusterID()+"?force=true", nil)
	w.push("app", "v3")
	w.result(w.ended("web", 2), "failed", "v3", w.history("web")[0].Digest, "The cluster of the trigger is gone.")
}

// clusterID is that of the cluster production.
func (w *world) clusterID() string {
	w.Helper()
	_, rest, _ := strings.Cut(w.want(200, "GET", "/clusters", nil), `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// kubeconfig is one with members put beside the token of the user.
func kubeconfig(login object, members string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {%s}}]
`, login["server"], base64.StdEncoding.EncodeToString([]byte(login["ca"].(string))), members)
}

// A kubeconfig with everything in it will do; one that runs programs or names
// files will not. Loopback is out of reach unless the operator allows it.
func TestRegistration(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	login := w.account(w.ns)
	token := fmt.Sprintf("token: %q", login["token"])
	for members, detail := range map[string]string{
		token + ", exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh}": "exec",
		"auth-provider: {name: gcp}":             "auth-provider",
		"tokenFile: /etc/passwd":                 "tokenFile",
		"client-certificate: /a, client-key: /b": "client-certificate",
		token + ", client-key: /b":               "client-key",
		"username: u, password: p":               "username",
		token + ", as: system:admin":             "as",
	} {
		got, answer := w.call("POST", "/clusters", object{"name": "production", "kubeconfig": kubeconfig(login, members), "force": true})
		if got != 400 || !strings.Contains(answer, "the member "+detail+",") {
			t.Errorf("%s: %d %s", members, got, answer)
		}
	}
	w.want(201, "POST", "/clusters", object{"name": "production", "kubeconfig": kubeconfig(login, token), "namespaces": []string{w.ns}})
	w.want(200, "POST", "/clusters/"+w.clusterID()+"/check", nil)
	if got, answer := w.call("PATCH", "/clusters/"+w.clusterID(), object{"server": "https://127.0.0.1:1"}); got != 400 {
		t.Errorf("the stored token goes to another server: %d %s", got, answer)
	}
	if out, err := w.berth.Command("", "cluster", "show", "production"); err != nil || !strings.Contains(string(out), "good") {
		t.Errorf("%v\n%s", err, out)
	}

	strict := openStrict(t, berthtest.Options{})
	for _, server := range []string{cluster.URL, strings.Replace(cluster.URL, "127.0.0.1", "localhost", 1)} {
		got, answer := strict.call("POST", "/clusters", object{"name": "x", "server": server, "ca": login["ca"], "token": login["token"]})
		if got != 400 || !strings.Contains(answer, "does not allow connections") {
			t.Errorf("%s: %d %s", server, got, answer)
		}
	}
}
