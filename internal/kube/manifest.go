package kube

import (
	"fmt"
	"strings"
)

// Manifest is YAML to paste into a cluster: an account that may do what a
// trigger needs in the namespaces, or with none in all, and nothing else, and
// its token. Its own objects stand in the namespace berth.
func Manifest(namespaces []string) string {
	var b strings.Builder
	b.WriteString(`apiVersion: v1
kind: Namespace
metadata: {name: berth}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: berth-trigger, namespace: berth}
---
apiVersion: v1
kind: Secret
metadata:
  name: berth-trigger
  namespace: berth
  annotations: {kubernetes.io/service-account.name: berth-trigger}
type: kubernetes.io/service-account-token
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: berth-trigger}
rules:
`)
	for _, p := range permissions {
		fmt.Fprintf(&b, "- {apiGroups: [%q], resources: [%s], verbs: [%s]}\n", p.group, p.resource, strings.Join(p.verbs, ", "))
	}
	const ends = `roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: berth-trigger}
subjects:
- {kind: ServiceAccount, name: berth-trigger, namespace: berth}
`
	if len(namespaces) == 0 {
		b.WriteString(`---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: berth-trigger}
` + ends)
	}
	for _, ns := range namespaces {
		fmt.Fprintf(&b, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: berth-trigger, namespace: %s}
`+ends, ns)
	}
	return b.String()
}

// TokenCommand prints the token and the CA of what Manifest made.
const TokenCommand = `kubectl -n berth get secret berth-trigger -o go-template='{{.data.token | base64decode}}{{"\n"}}{{index .data "ca.crt" | base64decode}}'`
