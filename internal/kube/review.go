package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// A permission is what a trigger uses in a namespace.
type permission struct {
	group, resource string
	verbs           []string
	optional        bool // without it only a reason is less exact
}

// permissions are all of them; Manifest gives these and no others.
var permissions = []permission{
	{"apps", "deployments", []string{"get", "list", "watch", "patch"}, false},
	{"apps", "statefulsets", []string{"get", "list", "watch", "patch"}, false},
	{"", "pods", []string{"list"}, false},
	{"", "events", []string{"list"}, true},
}

// Version asks the server who it is: "v1.36.3".
func (c *Client) Version(ctx context.Context) (string, error) {
	var v struct{ GitVersion string }
	err := c.do(ctx, http.MethodGet, "/version", "", nil, &v)
	return cut(v.GitVersion), err
}

// Lacks asks the server what of the needed permissions the credentials lack, in
// the namespaces, or with none in all. It stops behind the first resource of
// which something is missing: "patch of deployments in the namespace shop".
func (c *Client) Lacks(ctx context.Context, namespaces []string) (string, error) {
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		for _, p := range permissions {
			if p.optional {
				continue
			}
			var lacking []string
			for _, verb := range p.verbs {
				ok, err := c.allowed(ctx, ns, p.group, p.resource, verb)
				if err != nil {
					return "", err
				}
				if !ok {
					lacking = append(lacking, verb)
				}
			}
			if len(lacking) > 0 {
				where := "in all namespaces"
				if ns != "" {
					where = "in the namespace " + ns
				}
				return fmt.Sprintf("%s of %s %s", strings.Join(lacking, ", "), p.resource, where), nil
			}
		}
	}
	return "", nil
}

// allowed asks for one permission.
func (c *Client) allowed(ctx context.Context, namespace, group, resource, verb string) (bool, error) {
	type attributes struct {
		Namespace string `json:"namespace,omitempty"`
		Group     string `json:"group"`
		Resource  string `json:"resource"`
		Verb      string `json:"verb"`
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": attributes{namespace, group, resource, verb}},
	})
	if err != nil {
		return false, err
	}
	var out struct{ Status struct{ Allowed bool } }
	err = c.do(ctx, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json", body, &out)
	return out.Status.Allowed, err
}
