"""Processes, threads, signals, memory of their own and shared, sockets."""
import mmap, os, queue, select, signal, socket, subprocess, sys, threading, time

print(subprocess.check_output(["/bin/echo", "a child"]))
print(subprocess.run("echo shell; exit 5", shell=True).returncode, flush=True)
for missing in ["/no/such/program", "/etc/passwd"]:
    try:
        subprocess.run([missing])
    except OSError as error:
        print(error.strerror)

counter, lock = 0, threading.Lock()
def count():
    global counter
    for _ in range(1000):
        with lock:
            counter += 1
threads = [threading.Thread(target=count) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("threads", counter)

tasks, results = queue.Queue(), queue.Queue()
def work():
    while (task := tasks.get()) is not None:
        results.put(task * task)
workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers: worker.start()
for n in range(100): tasks.put(n)
for _ in workers: tasks.put(None)
for worker in workers: worker.join()
print("queue", sum(results.get() for _ in range(100)))

event = threading.Event()
threading.Timer(0.01, event.set).start()
print("event", event.wait(60), event.wait(0), threading.Event().wait(0.01))

shared = mmap.mmap(-1, 8192)
private = bytearray(b"parent")
pid = os.fork()
if pid == 0:
    shared[0:5] = b"child"
    private[:] = b"child!"
    os._exit(7)
print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shared[0:5], bytes(private))
with open("/tmp/mapped", "w+b") as file:
    file.write(b"x" * 10000)
    file.flush()
    mapped = mmap.mmap(file.fileno(), 10000)
    if os.fork() == 0:
        mapped[5000:5005] = b"hello"
        os._exit(0)
    os.wait()
    file.seek(5000)
    print("file", file.read(5), mapped[5000:5005])

pid = os.fork()
if pid == 0:
    signal.pause()
os.kill(pid, signal.SIGKILL)
print("killed", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid = os.fork()
if pid == 0:
    os.abort()
print("aborted", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
try:
    os.wait()
except ChildProcessError as error:
    print(error.strerror)

got = []
signal.signal(signal.SIGCHLD, lambda number, frame: got.append(number))
os.waitpid(os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]), 0)
print("SIGCHLD", got == [signal.SIGCHLD])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    os._exit(1)
try:
    os.wait()
except ChildProcessError as error:
    print("ignored", error.strerror)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)

reader, writer = os.pipe()
if os.fork() == 0:
    os.close(reader)
    os.write(writer, b"y" * 200000)
    os._exit(0)
os.close(writer)
length = 0
while chunk := os.read(reader, 65536):
    length += len(chunk)
print("pipe", length, os.wait()[1])

pids = [os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {n}"], os.environ) for n in range(20)]
print("spawned", [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
info = os.waitid(os.P_PID, os.posix_spawn("/bin/false", ["false"], {}), os.WEXITED | os.WNOWAIT)
print("waitid", info.si_status, info.si_code == os.CLD_EXITED, os.wait()[0] == info.si_pid)
usage = os.wait4(os.posix_spawn("/bin/true", ["true"], {}), 0)[2]
print("usage", usage.ru_utime >= 0)

served = f"/tmp/served-{os.getpid()}"
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(served)
server.listen(4)
def serve():
    for _ in range(3):
        connection, _ = server.accept()
        with connection:
            text = connection.makefile().readline()
            connection.sendall(text.upper().encode())
serving = threading.Thread(target=serve)
serving.start()
for word in ["one", "two", "three"]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(served)
        client.sendall(f"{word}\n".encode())
        print("served", client.recv(100))
serving.join()
os.unlink(served)
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.fork() == 0:
    with open("/tmp/sent", "w+") as file:
        file.write("from the child")
        file.flush()
        socket.send_fds(right, [b"a file"], [file.fileno()])
    os._exit(0)
message, files, _, _ = socket.recv_fds(left, 100, 1)
os.wait()
print("sent", message, os.pread(files[0], 100, 0))
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("/tmp/nobody")
except OSError as error:
    print(error.strerror)

os.execv("/bin/echo", ["echo", "the end"])
