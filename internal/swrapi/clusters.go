package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/trigger"
)

const clustersPath = "/v2/manage/clusters"

var clusterRoutes = []route{
	{method: http.MethodPost, pattern: clustersPath, name: "CreateCluster", do: iam.CreateCluster, about: aCluster, handle: (*API).createCluster},
	{method: http.MethodGet, pattern: clustersPath, name: "ListClusters", do: iam.ListClusters, about: aCluster, handle: (*API).listClusters},
	{method: http.MethodGet, pattern: clustersPath + "/manifest", name: "ShowClusterManifest", do: iam.ListClusters, about: aCluster, handle: (*API).showClusterManifest},
	{method: http.MethodGet, pattern: clustersPath + "/{cluster}", name: "ShowCluster", do: iam.ShowCluster, about: aCluster, handle: (*API).showCluster},
	{method: http.MethodPatch, pattern: clustersPath + "/{cluster}", name: "UpdateCluster", do: iam.UpdateCluster, about: aCluster, handle: (*API).updateCluster},
	{method: http.MethodDelete, pattern: clustersPath + "/{cluster}", name: "DeleteCluster", do: iam.DeleteCluster, about: aCluster, handle: (*API).deleteCluster},
	{method: http.MethodPost, pattern: clustersPath + "/{cluster}/check", name: "CheckCluster", do: iam.CheckCluster, about: aCluster, handle: (*API).checkCluster},
}

// cluster is a registered cluster. Its credentials are shown to nobody.
type cluster struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Server      string   `json:"server"`
	Namespaces  []string `json:"namespaces"`
	CCI         bool     `json:"cci"`
	Version     string   `json:"version"`
	Error       string   `json:"error"`
	CheckedAt   stamp    `json:"checked_at"`
	CreatorName string   `json:"creator_name"`
	CreatedAt   stamp    `json:"created_at"`
	UpdatedAt   stamp    `json:"updated_at"`
}

func clusterOf(c trigger.Cluster) cluster {
	return cluster{c.ID, c.Name, c.Server, c.Namespaces, c.Marked, c.Version, c.Error, stamp(c.Checked), c.CreatorName, stamp(c.Created), stamp(c.Updated)}
}

// clusterLogin is how a cluster is reached: a kubeconfig, or the others.
type clusterLogin struct {
	Kubeconfig        string `json:"kubeconfig"`
	Server            string `json:"server"`
	Token             string `json:"token"`
	CA                string `json:"ca"`
	ClientCertificate string `json:"client_certificate"`
	ClientKey         string `json:"client_key"`
	TLSServerName     string `json:"tls_server_name"`
	Insecure          bool   `json:"insecure_skip_tls_verify"`
}

func (l clusterLogin) login() trigger.Login {
	return trigger.Login{Kubeconfig: l.Kubeconfig, Access: kube.Access{Server: l.Server, CA: l.CA, ServerName: l.TLSServerName, Insecure: l.Insecure,
		Token: l.Token, ClientCert: l.ClientCertificate, ClientKey: l.ClientKey}}
}

func (a *API) createCluster(c *call) error {
	var in struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		clusterLogin
		Namespaces []string `json:"namespaces"`
		CCI        bool     `json:"cci"`
		Force      bool     `json:"force"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	made, err := a.triggers.Register(c.r.Context(), c.who, trigger.NewCluster{ID: in.ID, Name: in.Name, Login: in.login(), Namespaces: in.Namespaces, Marked: in.CCI, Force: in.Force})
	if err != nil {
		return err
	}
	return c.created(clusterOf(made))
}

func (a *API) listClusters(c *call) error {
	list, err := a.triggers.Clusters(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	out := make([]cluster, len(list))
	for i, x := range list {
		out[i] = clusterOf(x)
	}
	return c.ok(out)
}

func (a *API) showCluster(c *call) error {
	x, err := a.triggers.Cluster(c.r.Context(), c.who, c.path["cluster"])
	if err != nil {
		return err
	}
	return c.ok(clusterOf(x))
}

// updateCluster leaves what is not in the body as it is.
func (a *API) updateCluster(c *call) error {
	var in struct {
		clusterLogin
		Namespaces *[]string `json:"namespaces"`
		CCI        *bool     `json:"cci"`
		Force      bool      `json:"force"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := a.triggers.UpdateCluster(c.r.Context(), c.who, c.path["cluster"],
		trigger.ClusterPatch{Login: in.login(), Namespaces: in.Namespaces, Marked: in.CCI, Force: in.Force}); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteCluster(c *call) error {
	force := false
	if s := c.query.Get("force"); s != "" {
		var err error
		if force, err = strconv.ParseBool(s); err != nil {
			return fault.New(fault.PageInvalid, "force is true or false.")
		}
	}
	if err := a.triggers.DeleteCluster(c.r.Context(), c.who, c.path["cluster"], force); err != nil {
		return err
	}
	return c.noContent()
}

func (a *API) checkCluster(c *call) error {
	x, err := a.triggers.CheckCluster(c.r.Context(), c.who, c.path["cluster"])
	if err != nil {
		return err
	}
	return c.ok(clusterOf(x))
}

// clusterManifest is what to paste into a cluster before it is registered.
type clusterManifest struct {
	Manifest     string `json:"manifest"`
	TokenCommand string `json:"token_command"`
}

func (a *API) showClusterManifest(c *call) error {
	namespaces := c.query["namespace"]
	if err := trigger.CheckNamespaces(namespaces); err != nil {
		return err
	}
	return c.ok(clusterManifest{kube.Manifest(namespaces), kube.TokenCommand})
}
