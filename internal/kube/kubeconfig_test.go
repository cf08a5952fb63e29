package kube

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
)

// whole is a kubeconfig that will do.
const whole = `apiVersion: v1
kind: Config
current-context: x
contexts:
- {name: other, context: {cluster: none, user: none}}
- {name: x, context: {cluster: c, user: u, namespace: shop}}
clusters:
- name: c
  cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: Q0E=, tls-server-name: kubernetes}
users:
- name: v
  user: {exec: {command: sh}}
- name: u
  user: {token: t0ken}
`

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig(whole)
	want := Access{Server: "https://10.0.0.1:6443", CA: "CA", ServerName: "kubernetes", Token: "t0ken"}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err = ParseConfig(`{"clusters":[{"cluster":{"server":"https://h"}}],"users":[{"user":{"client-certificate-data":"Yw==","client-key-data":"aw=="}}]}`)
	if err != nil || got != (Access{Server: "https://h", ClientCert: "c", ClientKey: "k"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	user := func(members string) string { return strings.Replace(whole, "token: t0ken", members, 1) }
	cluster := func(members string) string {
		return strings.Replace(whole, "certificate-authority-data: Q0E=", members, 1)
	}
	for text, names := range map[string]string{
		user("exec: {command: sh}"):                                           "exec",
		user("token: t, exec: {command: sh}"):                                 "exec",
		user("token: t, exec: 5"):                                             "exec",
		user("auth-provider: {name: gcp}"):                                    "auth-provider",
		user("tokenFile: /etc/shadow"):                                        "tokenFile",
		user("client-certificate: /a"):                                        "client-certificate",
		user("client-key: /a"):                                                "client-key",
		user("username: u"):                                                   "username",
		user("token: t, as: admin"):                                           "as",
		user("client-certificate-data: '*'"):                                  "client-certificate-data",
		cluster("certificate-authority: /etc/passwd"):                         "certificate-authority",
		cluster("proxy-url: http://127.0.0.1"):                                "proxy-url",
		cluster("certificate-authority-data: '%'"):                            "certificate-authority-data",
		strings.Replace(whole, "user: u,", "user: w,", 1):                     "lacks",
		strings.Replace(whole, "current-context: x", "current-context: y", 1): "current-context",
		strings.Replace(whole, "current-context: x", "", 1):                   "current-context",
		"a: &x [1]\nb: *x":                                                    "alias",
		"\t":                                                                  "YAML",
		"[]":                                                                  "YAML",
		"":                                                                    "current-context",
		strings.Repeat("#", maxKubeconfig+1):                                  "bytes",
	} {
		_, err := ParseConfig(text)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), names) {
			t.Errorf("%.300s\n%v, which should name %s", text, err, names)
		}
	}
}

// Whatever is accepted stood in the text, all of it.
func FuzzParseConfig(f *testing.F) {
	f.Add(whole)
	f.Add(`{"clusters":[{"cluster":{"server":"https://h"}}],"users":[{"user":{"token":"t"}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseConfig(text)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		if n := len(a.Server) + len(a.CA) + len(a.ServerName) + len(a.Token) + len(a.ClientCert) + len(a.ClientKey); n > len(text) {
			t.Fatalf("%d bytes became %d", len(text), n)
		}
		if err := a.Check(true); err != nil && fault.CodeOf(err) != fault.Invalid && fault.CodeOf(err) != fault.Missing {
			t.Fatal(err)
		}
	})
}

func TestCheck(t *testing.T) {
	good := Access{Server: "https://10.0.0.1:6443", Token: "t"}
	for name, c := range map[string]struct {
		change func(*Access)
		code   fault.Code
		names  string
	}{
		"plain":          {func(*Access) {}, "", ""},
		"path":           {func(a *Access) { a.Server += "/k8s/clusters/c-1" }, "", ""},
		"no server":      {func(a *Access) { a.Server = "" }, fault.Missing, "server"},
		"http":           {func(a *Access) { a.Server = "http://h" }, fault.Invalid, "server"},
		"user":           {func(a *Access) { a.Server = "https://u:p@h" }, fault.Invalid, "server"},
		"query":          {func(a *Access) { a.Server = "https://h?x=y" }, fault.Invalid, "server"},
		"no token":       {func(a *Access) { a.Token = "" }, fault.Missing, "token"},
		"lines of token": {func(a *Access) { a.Token = "a\r\nX: y" }, fault.Invalid, "token"},
		"half a pair":    {func(a *Access) { a.ClientCert = "x" }, fault.Invalid, "client_key"},
		"no pair":        {func(a *Access) { a.ClientCert, a.ClientKey = "x", "y" }, fault.Invalid, "client_certificate"},
		"no ca":          {func(a *Access) { a.CA = "x" }, fault.Invalid, "ca"},
		"insecure":       {func(a *Access) { a.Insecure = true }, fault.Invalid, "insecure_skip_tls_verify"},
		"odd name":       {func(a *Access) { a.ServerName = "a b" }, fault.Invalid, "tls_server_name"},
	} {
		a := good
		c.change(&a)
		err := a.Check(false)
		if fault.CodeOf(err) != c.code || err != nil && !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
