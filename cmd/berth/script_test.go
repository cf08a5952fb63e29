package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"berth.dev/berth/internal/db/dbtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berth": main})
}

// TestScripts drives the real binary. Besides what testscript has, scripts can
// say:
//
//	start NAME [FLAGS]        berth serve FLAGS in the background; sets URL, HOST and, where it is shown, PASSWORD;
//	                          its output goes to NAME.out and NAME.err
//	stop NAME                 SIGTERM; it must end by itself and without error
//	kill NAME                 SIGKILL
//	code N COMMAND            the command must exit with the code N
//	http METHOD URL [BODY]    a request; LOGIN is user:password, TOKEN one of the management API;
//	                          stdout is the status and the body; a token in the answer goes to SUBJECT
//	push NAME:TAG / pull      an image made of its own name, at URL, as LOGIN
//	drain NAME PATH           SIGTERM while a body comes in for PATH: it must be finished
//	until PATTERN COMMAND     the command again and again, until its output matches
//	receive NAME              a receiver of webhooks; sets RECEIVER to its address
//	received NAME N IDS       waits until it has N deliveries, of IDS different ids
//	verify NAME SECRET        what docs/webhooks.md says about signatures holds for its last delivery
//	member FILE KEY VARIABLE  a member of a JSON object into a variable
//	secret TEXT               which must be in no log at the end of the script
//
// With BERTH_TEST_DATABASE=postgres they run on PostgreSQL, unless a script
// says `env BERTH_DATABASE=`.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				RequireExplicitExec: true,
				Setup:               func(env *testscript.Env) error { return setup(t, env) },
				Cmds:                scriptCommands,
			})
		})
	}
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"start": cmdStart, "stop": cmdStop, "kill": cmdKill, "code": cmdCode, "http": cmdHTTP, "upload": cmdUpload,
	"push": cmdPush, "pull": cmdPull, "drain": cmdDrain, "member": cmdMember, "secret": cmdSecret, "until": cmdUntil,
	"receive": cmdReceive, "received": cmdReceived, "verify": cmdVerify,
}

// script is what one script's commands share.
type script struct {
	servers   map[string]*process
	receivers map[string]*receiver
	secrets   []string
}

type process struct {
	cmd  *exec.Cmd
	done chan error
}

type scriptKey struct{}

func setup(t *testing.T, env *testscript.Env) error {
	s := &script{servers: map[string]*process{}, receivers: map[string]*receiver{}}
	env.Values[scriptKey{}] = s
	if strings.HasPrefix(os.Getenv("BERTH_TEST_DATABASE"), "postgres") {
		env.Setenv("BERTH_DATABASE", dbtest.URL(t))
	}
	// A test must not fail because the machine's disk is rather full.
	env.Setenv("BERTH_STORAGE_RESERVE_BYTES", "0")
	env.Setenv("BERTH_STORAGE_RESERVE_PERCENT", "0")
	env.Defer(func() {
		for _, p := range s.servers {
			p.cmd.Process.Kill()
			<-p.done
		}
		for _, r := range s.receivers {
			r.Close()
		}
		s.grepLogs(t, env.WorkDir)
	})
	return nil
}

// grepLogs looks for secrets in everything that servers logged.
func (s *script) grepLogs(t *testing.T, dir string) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.err"))
	if err != nil {
		t.Error(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Error(err)
		}
		for _, secret := range s.secrets {
			if strings.Contains(string(text), secret) {
				t.Errorf("the log %s contains the secret %q", filepath.Base(log), secret)
			}
		}
	}
}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// environ is the script's environment for a process of our own.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "BERTH_DATABASE", "BERTH_STORAGE_RESERVE_BYTES", "BERTH_STORAGE_RESERVE_PERCENT",
		"BERTH_ADMIN_PASSWORD", "BERTH_ADMIN_PASSWORD_FILE", "BERTH_MASTER_KEY", "BERTH_CONFIG", "BERTH_LOG_LEVEL", "BERTH_LIMITS_DRAIN"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME [FLAGS]")
	}
	s, name := scriptOf(ts), args[0]
	errFile, err := os.OpenFile(ts.MkAbs(name+".err"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	defer errFile.Close()
	outFile, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	cmd := exec.Command("berth", append([]string{"serve", "--listen", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = ts.MkAbs("."), environ(ts), errFile
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan error, 1)}
	s.servers[name] = p
	lines := make(chan string, 64)
	go func() {
		defer outFile.Close()
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			fmt.Fprintln(outFile, scan.Text())
			lines <- scan.Text()
		}
		close(lines)
		p.done <- cmd.Wait()
	}()
	s.awaitStart(ts, name, lines)
}

// awaitStart reads what the start prints, up to its last line.
func (s *script) awaitStart(ts *testscript.TestScript, name string, lines <-chan string) {
	for limit := time.After(time.Minute); ; {
		select {
		case line, open := <-lines:
			if !open {
				ts.Fatalf("berth serve ended:\n%s", ts.ReadFile(name+".err"))
			}
			if url, last := strings.CutPrefix(line, "Berth serves "); last {
				_, host, _ := strings.Cut(url, "://")
				ts.Setenv("URL", url)
				ts.Setenv("HOST", host)
				return
			}
			if password, ok := strings.CutPrefix(line, "  password  "); ok {
				password, _, _ = strings.Cut(password, " ")
				ts.Setenv("PASSWORD", password)
				if strings.Contains(line, "shown only now") {
					s.secrets = append(s.secrets, password)
				}
			}
		case <-limit:
			ts.Fatalf("berth serve does not come up")
		}
	}
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptOf(ts).take(ts, args)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	p.ended(ts)
}

func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptOf(ts).take(ts, args)
	ts.Check(p.cmd.Process.Kill())
	<-p.done
}

// take removes a server from those that run.
func (s *script) take(ts *testscript.TestScript, args []string) *process {
	if len(args) == 0 || s.servers[args[0]] == nil {
		ts.Fatalf("which server? %v", args)
	}
	p := s.servers[args[0]]
	delete(s.servers, args[0])
	return p
}

// ended waits for a server that was told to end, and checks that it did so
// without error.
func (p *process) ended(ts *testscript.TestScript) {
	select {
	case err := <-p.done:
		ts.Check(err)
	case <-time.After(time.Minute):
		p.cmd.Process.Kill()
		<-p.done
		ts.Fatalf("the server does not end")
	}
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v never matches %s: %v", args[1:], args[0], err)
		}
	}
}

func cmdMember(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: member FILE KEY VARIABLE")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	text, ok := object[args[1]].(string)
	if !ok || text == "" {
		ts.Fatalf("no text %s in %v", args[1], object)
	}
	ts.Setenv(args[2], text)
	if args[1] == "secret" {
		scriptOf(ts).secrets = append(scriptOf(ts).secrets, text)
	}
}

func cmdSecret(ts *testscript.TestScript, neg bool, args []string) {
	s := scriptOf(ts)
	s.secrets = append(s.secrets, args...)
}
