package guide

// secretName is what examples call the secret in a cluster.
const secretName = "berth"

// secret is what the kubelet logs in with.
func (w *writer) secret() Step {
	return Step{Client: "kubernetes", Title: w.say("A secret for pulling in Kubernetes", "Kubernetes 拉取密钥"),
		Text: w.say("In the namespace of the workload. A credential that only pulls is enough: \"use\": \"pull\".",
			"在工作负载所在的命名空间中创建。建议使用仅可拉取的凭证（\"use\": \"pull\"）。"),
		Commands: []string{line("kubectl create secret docker-registry", secretName, "--docker-server="+w.host, "--docker-username="+w.User, `--docker-password="$`+Variable+`"`)}}
}

// pod uses an image, and the secret where one is needed.
func (w *writer) pod(image string) Step {
	secrets := "  imagePullSecrets:\n    - name: " + secretName + "\n"
	if w.Public {
		secrets = ""
	}
	return Step{Client: "kubernetes", Title: w.say("Use the image in Kubernetes", "在 Kubernetes 中使用镜像"),
		Commands: []string{"kubectl apply -f pod.yaml"}, File: "pod.yaml",
		Content: "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + sample + "\nspec:\n" + secrets +
			"  containers:\n    - name: " + sample + "\n      image: \"" + image + "\"\n"}
}

// masked is what all systems that build have in common.
func (w *writer) masked() string {
	return w.say("Keep the credential as a secret of the project, named "+Variable+".", "将凭证保存为项目的密钥变量，命名为 "+Variable+"。")
}

func (w *writer) gitlab() Step {
	return Step{Client: "gitlab", Title: "GitLab CI", Text: w.masked(), File: ".gitlab-ci.yml",
		Content: `push:
  image: docker:29
  services: [docker:29-dind]
  script:
    - printf %s "$` + Variable + `" | docker login -u ` + w.User + ` --password-stdin ` + w.host + `
    - docker build -t ` + w.host + `/` + w.Org + `/app:$CI_COMMIT_SHORT_SHA .
    - docker push ` + w.host + `/` + w.Org + `/app:$CI_COMMIT_SHORT_SHA
`}
}

func (w *writer) github() Step {
	return Step{Client: "github", Title: "GitHub Actions", Text: w.masked(), File: ".github/workflows/push.yml",
		Content: `name: push
on: push
jobs:
  push:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: docker/login-action@v3
        with:
          registry: "` + w.host + `"
          username: "` + w.User + `"
          password: ${{ secrets.` + Variable + ` }}
      - uses: docker/build-push-action@v6
        with:
          push: true
          tags: "` + w.host + `/` + w.Org + `/app:${{ github.sha }}"
`}
}

func (w *writer) jenkins() Step {
	return Step{Client: "jenkins", Title: "Jenkins", File: "Jenkinsfile",
		Text: w.say("Keep the credential as a secret text with the id berth.", "将凭证保存为 ID 为 berth 的 Secret text。"),
		Content: `pipeline {
  agent any
  environment { ` + Variable + ` = credentials('berth') }
  stages {
    stage('push') {
      steps {
        sh '''
          printf %s "$` + Variable + `" | docker login -u ` + w.User + ` --password-stdin ` + w.host + `
          docker build -t ` + w.host + `/` + w.Org + `/app:$BUILD_NUMBER .
          docker push ` + w.host + `/` + w.Org + `/app:$BUILD_NUMBER
        '''
      }
    }
  }
}
`}
}
