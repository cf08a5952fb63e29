package server

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestReadmeShowsWhatAFirstStartPrints(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	cfg := Default()
	if err := welcome(Outlets{Program: "./bin/berth", Out: &b}, &cfg, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}, &firstStart{password: "kV2nD8sWq0ZbLr5xTgYc7PmA", organization: firstOrg}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```\n"+b.String()+"```\n") {
		t.Errorf("README.md does not show\n%s", &b)
	}
}

func TestWelcome(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4zero, Port: 5000}
	cfg := Default()
	cfg.Data = "/var/lib/my berth"
	var b strings.Builder
	if err := welcome(Outlets{Out: &b}, &cfg, addr, &firstStart{password: "made-up", organization: "admin"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http://localhost:5000\n", "made-up", "docker login -u admin localhost:5000\n", "docker push localhost:5000/admin/alpine\n", "--data '/var/lib/my berth'\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
	b.Reset()
	cfg = Default()
	cfg.Data = "./data"
	cfg.ExternalURL = "https://registry.example.com/"
	if err := welcome(Outlets{Out: &b}, &cfg, addr, &firstStart{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "berth org create demo\n") || !strings.Contains(b.String(), "docker tag alpine registry.example.com/demo/alpine\n") {
		t.Errorf("\n%s", &b)
	}
	b.Reset()
	if err := welcome(Outlets{Out: &b}, &cfg, addr, nil); err != nil || b.String() != "Berth serves https://registry.example.com\n" {
		t.Errorf("%q, %v", &b, err)
	}
}
