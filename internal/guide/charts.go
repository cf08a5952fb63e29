package guide

// The chart of the examples.
const (
	chart        = "mychart"
	chartVersion = "1.0.0"
	chartFile    = chart + "-" + chartVersion + ".tgz"
)

func (w *writer) oci() string  { return "oci://" + w.host + "/" + w.Org }
func (w *writer) repo() string { return w.Address + "/chart/" + w.Org }

// addRepo makes the group a repository of helm.
func (w *writer) addRepo() Step {
	s := Step{Client: "helm", Title: w.say("Add the chart repository", "添加 Chart 仓库"),
		Text:     w.say("For helm search and helm pull by name, and for the plugin cm-push.", "用于 helm search、按名称 helm pull 以及 cm-push 插件。"),
		Commands: []string{piped("helm repo add", w.Org, w.repo(), "--username", w.User, "--password-stdin")}}
	if w.Public {
		s.Commands = []string{line("helm repo add", w.Org, w.repo())}
	}
	return s
}

func (w *writer) pushCharts() []Step {
	packaged := Step{Client: "helm", Title: w.say("Package the chart", "打包 Chart"),
		Text:     w.say("Beside the folder of the chart, here "+chart+".", "在 Chart 目录（以 "+chart+" 为例）的上级目录执行。"),
		Commands: []string{"helm package " + chart + " --version " + chartVersion}}
	withLogin := *w
	withLogin.Public = false // whoever pushes logs in, also where everyone pulls
	return []Step{
		w.credential(), packaged, w.loginOf("helm"),
		{Client: "helm", Title: w.say("Push as an OCI artifact", "以 OCI 制品方式推送"),
			Text:     w.say("It takes no plugin.", "无需插件，推荐使用。"),
			Commands: []string{line("helm push", chartFile, w.oci(), w.insecure("--plain-http"))}},
		withLogin.addRepo(),
		{Client: "helm cm-push", Title: w.say("Or push with the plugin cm-push", "或使用 cm-push 插件推送"),
			Text:     w.say("The plugin is installed once; with helm 4 add --verify=false, since it is not signed. A version that is there already is overwritten with --force alone.", "插件只需安装一次；使用 helm 4 时需加 --verify=false，因为该插件未签名。覆盖已有版本需要 --force。"),
			Commands: []string{"helm plugin install https://github.com/chartmuseum/helm-push", line("helm cm-push", chartFile, w.Org)}},
		{Client: "curl", Title: w.say("Or upload with curl", "或使用 curl 上传"),
			Commands: []string{`curl -fsS -u "` + w.User + `:$` + Variable + `" -F chart=@` + chartFile + ` ` + w.Address + `/chart/api/` + w.Org + `/charts`}},
	}
}

func (w *writer) pullCharts() []Step {
	steps := []Step{w.credential(), w.loginOf("helm")}
	if w.Public {
		steps = []Step{w.everyone()}
	}
	return append(steps,
		Step{Client: "helm", Title: w.say("Pull or install from OCI", "通过 OCI 拉取或安装"),
			Commands: []string{
				line("helm pull", w.oci()+"/"+chart, "--version", chartVersion, w.insecure("--plain-http")),
				line("helm install", chart, w.oci()+"/"+chart, "--version", chartVersion, w.insecure("--plain-http")),
			}},
		w.addRepo(),
		Step{Client: "helm", Title: w.say("Search, pull and install by name", "按名称搜索、拉取和安装"),
			Commands: []string{
				"helm repo update " + w.Org, "helm search repo " + w.Org + "/",
				line("helm pull", w.Org+"/"+chart, "--version", chartVersion), line("helm install", chart, w.Org+"/"+chart, "--version", chartVersion),
			}},
	)
}
