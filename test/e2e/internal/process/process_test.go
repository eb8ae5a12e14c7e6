package process

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sleepers = "SLEEPERS_OF_TEST"

// A test that is killed or panics leaves nothing behind: this one runs itself and ends itself in the middle.
func TestNothingStays(t *testing.T) {
	for _, end := range []string{"panic", "kill", "interrupt"} {
		for _, isolated := range []string{"", "isolated"} {
			t.Run(end+isolated, func(t *testing.T) {
				cmd := exec.Command(os.Args[0], "-test.run", "^TestSleepers$", "-test.v")
				cmd.Env = append(os.Environ(), sleepers+"="+end+" "+isolated)
				out, err := cmd.Output()
				require.Error(t, err)
				_, list, found := strings.Cut(string(out), "pids:")
				require.True(t, found, string(out))
				list, _, _ = strings.Cut(list, "\n")
				pids := strings.Fields(list)
				require.Len(t, pids, map[string]int{"": 1, "isolated": 2}[isolated])
				for _, pid := range pids {
					require.Eventually(t, func() bool { return !runs(pid) }, 5*time.Second, interval, "%s still runs", pid)
				}
			})
		}
	}
}

func runs(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// TestSleepers is not a test of its own: see TestNothingStays.
func TestSleepers(t *testing.T) {
	end, isolated, ok := strings.Cut(os.Getenv(sleepers), " ")
	if !ok {
		return
	}
	// A grandchild dies only with its namespace.
	program, want := Program{Name: "sleeper", Path: "/bin/sleep", Args: []string{"1000"}}, 1
	if isolated != "" {
		program, want = Program{Name: "sleepers", Path: "/bin/sh", Args: []string{"-c", "/bin/sleep 1000 & wait"}, Isolated: true}, 2
	}
	p := Start(t, program)
	var pids []string
	require.Eventually(t, func() bool {
		pids = nil
		for _, pid := range descendants(p.cmd.Process.Pid) {
			pids = append(pids, strconv.Itoa(pid))
		}
		return len(pids) == want
	}, 5*time.Second, interval)
	_, _ = os.Stdout.WriteString("pids: " + strings.Join(pids, " ") + "\n")
	switch end {
	case "panic":
		panic("on purpose")
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "interrupt":
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	}
	time.Sleep(time.Minute)
}

func TestStop(t *testing.T) {
	p := Start(t, Program{Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "echo hello; exec /bin/sleep 1000"}})
	require.Eventually(t, func() bool { return p.Tail() == "hello" }, 5*time.Second, interval)
	require.NotEmpty(t, p.Memory())
	p.Stop(t)
	require.False(t, runs(strconv.Itoa(p.cmd.Process.Pid)))
	p.Stop(t)
}
