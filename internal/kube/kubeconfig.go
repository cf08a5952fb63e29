package kube

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/fault"
)

// maxKubeconfig bounds a kubeconfig, in bytes; maxDepth its nesting.
const maxKubeconfig = 256 << 10

// config is what a kubeconfig can say. Members that name files, programs or
// proxies are read only to be refused by name.
type config struct {
	Clusters []struct {
		Name    string `json:"name"`
		Cluster struct {
			Server     string `json:"server"`
			ServerName string `json:"tls-server-name"`
			Insecure   bool   `json:"insecure-skip-tls-verify"`
			CAData     string `json:"certificate-authority-data"`
			CAFile     string `json:"certificate-authority"`
			Proxy      string `json:"proxy-url"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		Name string `json:"name"`
		User struct {
			Token     string          `json:"token"`
			CertData  string          `json:"client-certificate-data"`
			KeyData   string          `json:"client-key-data"`
			TokenFile string          `json:"tokenFile"`
			CertFile  string          `json:"client-certificate"`
			KeyFile   string          `json:"client-key"`
			Exec      json.RawMessage `json:"exec"`
			Provider  json.RawMessage `json:"auth-provider"`
			Username  string          `json:"username"`
			Password  string          `json:"password"`
			As        string          `json:"as"`
		} `json:"user"`
	} `json:"users"`
	Contexts []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
			User    string `json:"user"`
		} `json:"context"`
	} `json:"contexts"`
	Current string `json:"current-context"`
}

// ParseConfig reads the current context of a kubeconfig. Everything must stand
// in it: one that names files, runs a program to log in or goes through a proxy
// is refused, by the name of the member. Errors: Invalid.
func ParseConfig(text string) (Access, error) {
	if len(text) > maxKubeconfig {
		return Access{}, invalid("kubeconfig has at most %d bytes.", maxKubeconfig)
	}
	var c config
	if strings.Contains(text, "&") && strings.Contains(text, "*") && hasAlias(text) {
		return Access{}, invalid("kubeconfig has aliases of YAML (&name, *name): write it without.")
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return Access{}, fault.Wrap(fault.Invalid, err, "kubeconfig is not the YAML of a kubeconfig.")
	}
	user, cluster, err := c.current()
	if err != nil {
		return Access{}, err
	}
	return c.access(user, cluster)
}

// hasAlias reports a line that uses an anchor, which could make a small text a
// large value.
func hasAlias(text string) bool {
	for line := range strings.Lines(text) {
		for field := range strings.FieldsSeq(line) {
			if len(field) > 1 && (field[0] == '*' || field[0] == '&') {
				return true
			}
		}
	}
	return false
}

// current finds what the current context names; with a single user and a single
// cluster no context is needed. The numbers are places in the lists.
func (c *config) current() (user, cluster int, err error) {
	var userName, clusterName string
	switch {
	case c.Current == "" && len(c.Clusters) == 1 && len(c.Users) == 1:
		return 0, 0, nil
	case c.Current == "":
		return 0, 0, invalid("kubeconfig has no current-context, and not just one cluster and one user.")
	}
	found := false
	for _, x := range c.Contexts {
		if x.Name == c.Current && !found {
			userName, clusterName, found = x.Context.User, x.Context.Cluster, true
		}
	}
	if !found {
		return 0, 0, invalid("kubeconfig has no context of the name that current-context gives.")
	}
	user, cluster = -1, -1
	for i := range c.Users {
		if c.Users[i].Name == userName && user < 0 {
			user = i
		}
	}
	for i := range c.Clusters {
		if c.Clusters[i].Name == clusterName && cluster < 0 {
			cluster = i
		}
	}
	if user < 0 || cluster < 0 {
		return 0, 0, invalid("kubeconfig lacks the cluster or the user that its current context names.")
	}
	return user, cluster, nil
}

func (c *config) access(user, cluster int) (a Access, err error) {
	u, k := c.Users[user].User, c.Clusters[cluster].Cluster
	for _, m := range []struct {
		name string
		has  bool
		why  string
	}{
		{"exec", given(u.Exec), "this registry runs no programs to log in"},
		{"auth-provider", given(u.Provider), "this registry runs no programs to log in"},
		{"tokenFile", u.TokenFile != "", "files of your machine are not here: put the content in as token"},
		{"client-certificate", u.CertFile != "", "files of your machine are not here: put the content in as client-certificate-data"},
		{"client-key", u.KeyFile != "", "files of your machine are not here: put the content in as client-key-data"},
		{"certificate-authority", k.CAFile != "", "files of your machine are not here: put the content in as certificate-authority-data"},
		{"proxy-url", k.Proxy != "", "this registry connects directly"},
		{"username", u.Username != "" || u.Password != "", "Kubernetes does not take passwords any more: use a token"},
		{"as", u.As != "", "use the token of the account that is meant"},
	} {
		if m.has {
			return a, invalid("kubeconfig has the member %s, which is refused: %s.", m.name, m.why)
		}
	}
	a = Access{Server: k.Server, ServerName: k.ServerName, Insecure: k.Insecure, Token: u.Token}
	for _, d := range []struct {
		name, data string
		to         *string
	}{
		{"certificate-authority-data", k.CAData, &a.CA},
		{"client-certificate-data", u.CertData, &a.ClientCert},
		{"client-key-data", u.KeyData, &a.ClientKey},
	} {
		b, err := base64.StdEncoding.DecodeString(d.data)
		if err != nil {
			return a, invalid("kubeconfig has a member %s that is not base64.", d.name)
		}
		*d.to = string(b)
	}
	return a, nil
}

func given(m json.RawMessage) bool { return len(m) > 0 && string(m) != "null" }
