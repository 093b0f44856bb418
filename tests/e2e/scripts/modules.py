"""Modules that lean on the system: processes that share, loops that wait, a database, terminals."""
import asyncio, concurrent.futures, ctypes, multiprocessing, os, pty, select, shutil, signal, socket, sqlite3, sys, tarfile, tempfile, time, uuid
from multiprocessing import shared_memory

def square(n):
    return n * n

def count(value, times):
    for _ in range(times):
        with value.get_lock():
            value.value += 1

def processes():
    with multiprocessing.Pool(4) as pool:
        print("pool", sum(pool.map(square, range(100))))
    queue = multiprocessing.Queue()
    them = [multiprocessing.Process(target=queue.put, args=(n,)) for n in range(4)]
    for one in them: one.start()
    print("queue", sorted(queue.get() for _ in them))
    for one in them: one.join()
    value = multiprocessing.Value("i", 0)
    them = [multiprocessing.Process(target=count, args=(value, 100)) for _ in range(4)]
    for one in them: one.start()
    for one in them: one.join()
    print("value", value.value)
    barrier = multiprocessing.Barrier(3)
    them = [multiprocessing.Process(target=barrier.wait) for _ in range(3)]
    for one in them: one.start()
    for one in them: one.join()
    print("barrier", [one.exitcode for one in them])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("spawned", pool.map(square, [1, 2, 3]))
    with multiprocessing.Manager() as manager:
        known = manager.dict()
        one = multiprocessing.Process(target=known.update, kwargs={"a": 1})
        one.start(); one.join()
        print("manager", dict(known))
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.buf[0] = 7
    again = shared_memory.SharedMemory(name=memory.name)
    print("shared", again.buf[0])
    again.close(); memory.close(); memory.unlink()
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print("executor", list(executor.map(abs, [-1, -2])))

async def loops():
    echo = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    print("subprocess", await echo.communicate(), echo.returncode)
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
    path = tempfile.mktemp()
    server = await asyncio.start_unix_server(serve, path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"served\n")
    print("unix", await reader.read())
    writer.close(); server.close(); os.unlink(path)
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, got.set_result, "usr1")
    os.kill(os.getpid(), signal.SIGUSR1)
    print("signal", await got)
    print("threads", await asyncio.gather(*[asyncio.to_thread(sum, range(n)) for n in range(5)]))
    try:
        await asyncio.wait_for(asyncio.sleep(100), 0.01)
    except asyncio.TimeoutError:
        print("timed out")

def database(folder):
    path = os.path.join(folder, "base")
    one = sqlite3.connect(path)
    print("journal", one.execute("pragma journal_mode=wal").fetchone())
    one.execute("create table numbers(n)")
    with one: one.executemany("insert into numbers values(?)", [(n,) for n in range(1000)])
    other = sqlite3.connect(path, timeout=0.01)
    print("rows", other.execute("select count(*), sum(n) from numbers").fetchone())
    one.execute("begin immediate")
    try:
        other.execute("begin immediate")
    except sqlite3.OperationalError as error:
        print(error)
    one.commit(); one.close(); other.close()
    print("left", os.listdir(folder))

def system(folder):
    library = ctypes.CDLL(None)
    print("ctypes", library.getpid() == os.getpid(), library.strlen(b"abc"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("stty", ["stty", "rows", "30", "columns", "90"])
    os.waitpid(pid, 0)
    print("terminal", tuple(os.get_terminal_size(terminal)))
    left, right = socket.socketpair()
    poll = select.epoll()
    poll.register(left, select.EPOLLIN | select.EPOLLET)
    right.send(b"x")
    print("epoll", poll.poll(60)[0][1], poll.poll(0))
    memory = os.memfd_create("memory")
    print("memfd", os.write(memory, b"abc"), os.fstat(memory).st_size, os.path.exists(f"/proc/self/fd/{memory}"))
    event = os.eventfd(3)
    print("eventfd", os.eventfd_read(event))
    os.setxattr(folder, "user.name", b"value")
    print("attribute", os.getxattr(folder, "user.name"), os.listxattr(folder))
    alarms = []
    signal.signal(signal.SIGALRM, lambda *_: alarms.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    while not alarms:
        signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("alarm")
    print("no signal", signal.sigtimedwait([signal.SIGUSR2], 0.01))
    os.makedirs(os.path.join(folder, "a/b/c"))
    archive = shutil.make_archive(os.path.join(folder, "archive"), "gztar", os.path.join(folder, "a"))
    print("archive", tarfile.open(archive).getnames(), len(uuid.uuid4().hex))
    print("clocks", time.process_time() > 0, time.clock_gettime(time.CLOCK_BOOTTIME) > 0)

if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    processes()
    asyncio.run(loops())
    with tempfile.TemporaryDirectory() as folder: database(folder)
    with tempfile.TemporaryDirectory() as folder: system(folder)
