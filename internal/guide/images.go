package guide

// The image of the examples, and the tag that it gets.
const (
	sample  = "alpine"
	example = "latest"
)

// ref names an image of the organization.
func (w *writer) ref(name, tag string) string { return w.host + "/" + w.Org + "/" + name + ":" + tag }

func (w *writer) pushImages() []Step {
	local, target := sample+":"+example, w.ref(sample, example)
	text := w.say(local+" stands for an image that you have. It gets the name of the registry and the organization as another tag. The repository is made by the push.",
		"以本地镜像 "+local+" 为例：打上包含仓库地址和命名空间的标签后推送，镜像仓库会在推送时自动创建。")
	tagAndPush := func(client, push string) Step {
		return Step{Client: client, Title: w.say("Push with "+client, "使用 "+client+" 推送"), Text: text,
			Commands: append(w.loginOf(client).Commands, line(client, "tag", local, target), push)}
	}
	return []Step{
		w.credential(),
		tagAndPush("docker", "docker push "+target),
		{Client: "docker", Title: w.say("Build for several platforms and push", "多平台构建并推送"),
			Text:     w.say("Beside a Dockerfile, once you are logged in.", "登录后在 Dockerfile 所在目录执行。"),
			Commands: []string{"docker buildx build --platform linux/amd64,linux/arm64 -t " + w.ref("app", example) + " --push ."}},
		tagAndPush("podman", line("podman push", w.insecure("--tls-verify=false"), target)),
		tagAndPush("nerdctl", line("nerdctl", w.insecure("--insecure-registry"), "push", target)),
		{Client: "crane", Title: w.say("Push with crane", "使用 crane 推送"),
			Text:     w.say("From a file that `docker save -o "+sample+".tar "+local+"` or podman save wrote. It needs no daemon.", "推送 `docker save -o "+sample+".tar "+local+"` 或 podman save 导出的文件，无需守护进程。"),
			Commands: append(w.loginOf("crane").Commands, line("crane push", w.insecure("--insecure"), sample+".tar", target))},
		w.gitlab(), w.github(), w.jenkins(),
	}
}

func (w *writer) pullImages() []Step {
	from := w.ref(sample, example)
	pull := func(client string, words ...string) Step {
		s := Step{Client: client, Title: w.say("Pull with "+client, "使用 "+client+" 拉取"),
			Text: w.say(sample+":"+example+" stands for an image of "+w.Org+".", "以 "+w.Org+" 中的镜像 "+sample+":"+example+" 为例。")}
		if !w.Public {
			s.Commands = w.loginOf(client).Commands
		}
		s.Commands = append(s.Commands, line(words...))
		return s
	}
	steps := []Step{w.credential()}
	if w.Public {
		steps = []Step{w.everyone()}
	}
	steps = append(steps,
		pull("docker", "docker pull", from),
		pull("podman", "podman pull", w.insecure("--tls-verify=false"), from),
		pull("nerdctl", "nerdctl", w.insecure("--insecure-registry"), "pull", from),
		w.crictl(from),
		pull("crane", "crane pull", w.insecure("--insecure"), from, sample+".tar"),
	)
	if w.Public {
		return append(steps, w.pod(from))
	}
	return append(steps, w.secret(), w.pod(from))
}

func (w *writer) everyone() Step {
	return Step{
		Title: w.say("No login", "无需登录"),
		Text:  w.say("Everyone pulls from "+w.Org+".", w.Org+" 为公有，所有人均可拉取，无需登录。"),
	}
}

// crictl logs in with each pull.
func (w *writer) crictl(from string) Step {
	s := Step{Client: "crictl", Title: w.say("Pull with crictl", "使用 crictl 拉取"), Commands: []string{"crictl pull --creds \"" + w.User + ":$" + Variable + "\" " + from}}
	if w.Public {
		s.Commands = []string{"crictl pull " + from}
	}
	if w.plain {
		s.Text = w.say("containerd has to be told that this registry is reached without TLS.", "需要告知 containerd 该镜像仓库未启用 TLS。")
		s.File = "/etc/containerd/certs.d/" + w.host + "/hosts.toml"
		s.Content = "server = \"http://" + w.host + "\"\n\n[host.\"http://" + w.host + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
	}
	return s
}
