package guide

// Variable is the environment variable in which commands expect the secret, so
// that it stands in no command line.
const Variable = "BERTH_CREDENTIAL"

// piped hands the secret to a command on its standard input.
func piped(words ...string) string {
	return `printf %s "$` + Variable + `" | ` + line(words...)
}

// credential is the first step of what takes a login.
func (w *writer) credential() Step {
	return Step{
		Title: w.say("An access credential", "访问凭证"),
		Text: w.say(
			"Create one (POST /v2/manage/credentials, or `berth credential create` on the machine of the registry), and paste it here: it goes into the variable "+Variable+". It must be enabled and not expired. Beside it any user name will do. A password does as well, with your own name.",
			"请先创建访问凭证（POST /v2/manage/credentials，或在镜像仓库所在机器上执行 `berth credential create`），然后粘贴到下面的命令中，它会存入变量 "+Variable+"。凭证必须处于启用状态且在有效期内。使用凭证时用户名可以任意填写；也可以使用自己的用户名和密码。"),
		Commands: []string{"read -rs " + Variable + "; export " + Variable},
	}
}

// loginOf logs one client in.
func (w *writer) loginOf(client string) Step {
	s := Step{Client: client, Title: w.say("Log in with "+client, "使用 "+client+" 登录")}
	switch client {
	case "docker":
		s.Commands = []string{piped("docker login -u", w.User, "--password-stdin", w.host)}
		if w.plain {
			s.Text = w.say(
				"This registry is reached without TLS. Unless its address is on this machine, docker needs it in its configuration, and a restart.",
				"该镜像仓库未启用 TLS。若不在本机，需要在 docker 配置中加入其地址并重启 docker。")
			s.File, s.Content = "/etc/docker/daemon.json", `{"insecure-registries": ["`+w.host+`"]}`+"\n"
		}
	case "podman":
		s.Text = w.say("Where docker is logged in to it already, podman uses that login, and refuses another: leave this out.",
			"若 docker 已登录该镜像仓库，podman 会直接使用该登录信息，并拒绝再次登录，可跳过此步。")
		s.Commands = []string{piped("podman login -u", w.User, "--password-stdin", w.insecure("--tls-verify=false"), w.host)}
	case "nerdctl":
		s.Commands = []string{piped("nerdctl", w.insecure("--insecure-registry"), "login -u", w.User, "--password-stdin", w.host)}
	case "helm":
		s.Commands = []string{piped("helm registry login -u", w.User, "--password-stdin", w.insecure("--plain-http"), w.host)}
	case "crane":
		s.Commands = []string{piped("crane auth login -u", w.User, "--password-stdin", w.host)}
	}
	return s
}

func (w *writer) login() []Step {
	steps := []Step{w.credential()}
	clients := []string{"docker", "podman", "nerdctl", "crane", "helm"}
	if w.Charts {
		clients = []string{"helm"}
	}
	for _, client := range clients {
		steps = append(steps, w.loginOf(client))
	}
	if w.Charts {
		return append(steps, w.addRepo())
	}
	return append(steps, w.secret())
}
