// Goroutines: clone, futex and epoll without libc, preemption by SIGURG, sigaltstack, os/exec.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func spin(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i ^ (sum << 1)
	}
	return sum
}

// Loops without a call are interrupted by signals, for the collector to stop the world.
func preempt() {
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			spin(20000000)
		}()
	}
	for i := 0; i < 20; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	group.Wait()
	fmt.Println("preempted")
}

func channels() {
	numbers, sum := make(chan int), 0
	go func() {
		for i := 0; i < 20000; i++ {
			numbers <- i
		}
		close(numbers)
	}()
	for n := range numbers {
		sum += n
	}
	var group sync.WaitGroup
	var lock sync.Mutex
	count := 0
	for i := 0; i < 500; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 20; j++ {
				lock.Lock()
				count++
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	fmt.Println("channels", sum, count)
}

func loopback(network, address string) {
	listener, err := net.Listen(network, address)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(peer, peer)
				peer.Close()
			}()
		}
	}()
	var group sync.WaitGroup
	sizes := make([]int, 30)
	for i := range sizes {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			client, err := net.Dial(network, listener.Addr().String())
			if err != nil {
				fmt.Println(err)
				return
			}
			defer client.Close()
			go func() {
				client.Write(make([]byte, i*1000))
				client.(interface{ CloseWrite() error }).CloseWrite()
			}()
			answer, _ := io.ReadAll(client)
			sizes[i] = len(answer)
		}(i)
	}
	group.Wait()
	listener.Close()
	sum := 0
	for _, size := range sizes {
		sum += size
	}
	fmt.Println(network, sum)
}

func main() {
	runtime.GOMAXPROCS(4)
	preempt()
	channels()
	loopback("tcp", "127.0.0.1:0")
	loopback("unix", fmt.Sprintf("/tmp/goroutines.%d", os.Getpid()))

	out, err := exec.Command("/bin/sh", "-c", "echo from sh; exit 3").CombinedOutput()
	fmt.Print(string(out), err, "\n")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-signals)
	done := make(chan bool)
	time.AfterFunc(10*time.Millisecond, func() { close(done) })
	<-done
	func() {
		defer func() { fmt.Println(recover()) }()
		var none *int
		fmt.Println(*none)
	}()
	var kept [][]byte
	for i := 0; i < 2000; i++ {
		kept = append(kept, make([]byte, 100000))
		if i%100 == 0 {
			kept = nil
		}
	}
	fmt.Println("kept", len(kept))
	os.Exit(5)
}
