package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"berth.dev/berth/internal/server"
)

// clusterFlags are those of the commands about clusters.
type clusterFlags struct {
	id, kubeconfig, server, tokenFile, caFile, namespaces string
	marked, force                                         bool
}

func clusterCommands() []command {
	force := func(usage string) flags {
		return boolFlag("force", usage, func(o *options) *bool { return &o.cluster.force })
	}
	namespaces := textFlag("namespaces", "`names` of the namespaces where triggers may act, parted by commas (default: all)", func(o *options) *string { return &o.cluster.namespaces })
	return []command{
		{
			name: "cluster manifest", short: "Show what to paste into a cluster before it is added",
			long:     "It makes an account in the cluster that may do what triggers need, and no more. The last line tells how to get its token.",
			examples: `berth cluster manifest --namespaces shop,blog | kubectl apply -f -`, flags: namespaces, run: showManifest,
		},
		{
			name: "cluster add", args: "NAME", short: "Register a Kubernetes cluster for triggers, once it has answered",
			long: "Give a kubeconfig with everything in it, or the server with a token and its CA. The file - is the standard input.",
			examples: `berth cluster add production --kubeconfig ./kubeconfig
				berth cluster add production --server https://10.0.0.1:6443 --token-file token --ca-file ca.crt --namespaces shop,blog --cci`,
			flags: join(accountFlag(), namespaces, force("also where the cluster does not answer as it must"),
				textFlag("id", "`id` for the triggers that name the cluster by one (default: made up)", func(o *options) *string { return &o.cluster.id }),
				textFlag("kubeconfig", "`file` with a kubeconfig", func(o *options) *string { return &o.cluster.kubeconfig }),
				textFlag("server", "`url` of the API server", func(o *options) *string { return &o.cluster.server }),
				textFlag("token-file", "`file` with the token", func(o *options) *string { return &o.cluster.tokenFile }),
				textFlag("ca-file", "`file` with the certificate of the API server's authority", func(o *options) *string { return &o.cluster.caFile }),
				boolFlag("cci", "triggers of the mode cci act there", func(o *options) *bool { return &o.cluster.marked })),
			run: addCluster,
		},
		{name: "cluster list", short: "List the clusters of an account", examples: `berth cluster list`, flags: accountFlag(), run: listClusters},
		{name: "cluster show", args: "NAME", short: "Ask a cluster how it is, and show it", examples: `berth cluster show production`, flags: accountFlag(), run: showCluster},
		{
			name: "cluster delete", args: "NAME", short: "Forget a cluster; with --force also one that triggers use", examples: `berth cluster delete production`,
			flags: join(accountFlag(), force("also where triggers use it")), run: deleteCluster,
		},
	}
}

func (c *call) namespaces() []string {
	if c.cluster.namespaces == "" {
		return nil
	}
	return strings.Split(c.cluster.namespaces, ",")
}

func showManifest(c *call) (result, error) {
	text, command, err := server.ClusterManifest(c.namespaces())
	return result{value: map[string]string{"manifest": text, "token_command": command}, text: text + "# " + command}, err
}

const maxClusterFile = 256 << 10 // bytes

// content reads a file that a flag names; "-" is stdin, and "" nothing.
func (c *call) content(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	var in io.Reader = c.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxClusterFile+1))
	if err == nil && len(text) > maxClusterFile {
		err = fmt.Errorf("%s has more than %d bytes", name, maxClusterFile)
	}
	return string(text), err
}

func addCluster(c *call) (result, error) {
	in := server.NewCluster{Named: c.named(), ID: c.cluster.id, Server: c.cluster.server, Namespaces: c.namespaces(), Marked: c.cluster.marked, Force: c.cluster.force}
	if c.cluster.kubeconfig == "" && c.cluster.server == "" {
		return result{}, &usageError{"which cluster? Give --kubeconfig, or --server with --token-file and --ca-file", "berth " + c.cmd.name}
	}
	var errs [3]error
	in.Kubeconfig, errs[0] = c.content(c.cluster.kubeconfig)
	in.Token, errs[1] = c.content(c.cluster.tokenFile)
	in.CA, errs[2] = c.content(c.cluster.caFile)
	if err := errors.Join(errs[:]...); err != nil {
		return result{}, err
	}
	in.Token = strings.TrimSpace(in.Token)
	x, err := making(c, func(l *server.Local) (server.Cluster, error) { return server.Call(c.ctx, l, server.AddCluster, in) })
	return result{value: x, text: "Cluster " + x.Name + " added; its id is " + x.ID + "."}, err
}

func listClusters(c *call) (result, error) {
	list, err := with(c, func(l *server.Local) ([]server.Cluster, error) {
		return server.Call(c.ctx, l, server.ListClusters, server.Named{Account: c.account})
	})
	return result{value: list, table: rows([]string{"NAME", "ID", "SERVER", "VERSION", "CCI", "PROBLEM"}, list, func(x server.Cluster) []string {
		return []string{x.Name, x.ID, x.Server, x.Version, yes(x.Marked), x.Error}
	})}, err
}

func showCluster(c *call) (result, error) {
	x, err := with(c, func(l *server.Local) (server.Cluster, error) {
		return server.Call(c.ctx, l, server.CheckCluster, server.ClusterName{Named: c.named()})
	})
	where, state := strings.Join(x.Namespaces, ", "), x.Error
	if where == "" {
		where = "all"
	}
	if state == "" {
		state = "good"
	}
	return result{value: x, table: [][]string{{"name", x.Name}, {"id", x.ID}, {"server", x.Server}, {"namespaces", where}, {"version", x.Version},
		{"cci", yes(x.Marked)}, {"state", state}, {"checked", when(x.Checked)}}}, err
}

func deleteCluster(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.DeleteCluster, server.ClusterName{Named: c.named(), Force: c.cluster.force})
	})
	return done(c.args[0], "Cluster %s deleted.", c.args[0]), err
}
