// A hundred goroutines that count, talk over channels, sleep, make files, start programs, and collect garbage.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"
)

const workers = 100

func main() {
	var mutex sync.Mutex
	counter := 0
	var group sync.WaitGroup
	numbers, squares := make(chan int), make(chan int, 10)
	for n := 0; n < workers; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := range numbers {
				mutex.Lock()
				counter++
				mutex.Unlock()
				squares <- number * number
			}
		}()
	}
	go func() {
		for n := 0; n < 10000; n++ {
			numbers <- n
		}
		close(numbers)
		group.Wait()
		close(squares)
	}()
	sum := 0
	for square := range squares {
		sum += square
	}
	fmt.Println("counted", counter, "sum", sum)

	// Each holds the processor until it is taken away.
	spun := make(chan bool)
	for n := 0; n < 4; n++ {
		go func() {
			until := time.Now().Add(30 * time.Millisecond)
			for time.Now().Before(until) {
			}
			spun <- true
		}()
	}
	for n := 0; n < 4; n++ {
		<-spun
	}
	slept := make(chan int, workers)
	for n := 0; n < workers; n++ {
		go func(n int) {
			time.Sleep(time.Duration(n%10) * time.Millisecond)
			slept <- n
		}(n)
	}
	var order []int
	for n := 0; n < workers; n++ {
		order = append(order, <-slept)
	}
	sort.Ints(order)
	fmt.Println("slept", order[0], order[workers-1])

	garbage := 0
	for n := 0; n < 2000; n++ {
		garbage += len(make([]byte, 16<<10))
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Println("collected", garbage, memory.NumGC > 0)

	folder, err := os.MkdirTemp("", "go-")
	check(err)
	hashes := make([][32]byte, workers)
	for n := 0; n < workers; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			path := filepath.Join(folder, fmt.Sprint(n))
			check(os.WriteFile(path, bytes.Repeat([]byte{byte(n)}, 5000), 0o600))
			content, err := os.ReadFile(path)
			check(err)
			hashes[n] = sha256.Sum256(content)
		}(n)
	}
	group.Wait()
	fmt.Printf("files %x\n", sha256.Sum256(bytes.Join(func() (all [][]byte) {
		for n := range hashes {
			all = append(all, hashes[n][:])
		}
		return
	}(), nil)))
	check(os.RemoveAll(folder))

	outputs := make([]string, 8)
	for n := range outputs {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			output, err := exec.Command("/bin/echo", "child", fmt.Sprint(n)).Output()
			check(err)
			outputs[n] = string(output)
		}(n)
	}
	group.Wait()
	fmt.Print("programs ", outputs[0], outputs[7])

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println("signal", <-signals)
	defer func() {
		fmt.Println("recovered", recover())
		os.Exit(7)
	}()
	var nothing *int
	fmt.Println(*nothing)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
