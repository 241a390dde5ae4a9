// Run by java: threads with locks and queues, processes, files and a socket.
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Threads {
	static long primes(int limit) {
		return IntStream.range(2, limit).parallel()
			.filter(n -> IntStream.rangeClosed(2, (int) Math.sqrt(n)).allMatch(d -> n % d != 0)).count();
	}

	static void pool() throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(8);
		List<Future<Integer>> all = new ArrayList<>();
		for (int i = 0; i < 100; i++) {
			final int n = i;
			all.add(pool.submit(() -> n * n));
		}
		int sum = 0;
		for (Future<Integer> one : all)
			sum += one.get();
		pool.shutdown();
		System.out.println("pool " + sum + " " + pool.awaitTermination(20, TimeUnit.SECONDS));
	}

	static void counters() throws Exception {
		final int[] plain = { 0 };
		final AtomicInteger atomic = new AtomicInteger();
		final Object lock = new Object();
		Thread[] threads = new Thread[20];
		for (int i = 0; i < threads.length; i++) {
			threads[i] = new Thread(() -> {
				for (int j = 0; j < 1000; j++) {
					synchronized (lock) {
						plain[0]++;
					}
					atomic.incrementAndGet();
				}
			});
			threads[i].start();
		}
		for (Thread thread : threads)
			thread.join();
		System.out.println("counters " + plain[0] + " " + atomic.get());
	}

	static void garbage() {
		List<byte[]> kept = new ArrayList<>();
		for (int i = 0; i < 20000; i++) {
			byte[] some = new byte[10000];
			if (i % 200 == 0)
				kept.add(some);
		}
		System.out.println("kept " + kept.size());
		int[] none = null;
		try {
			System.out.println(none[kept.size()]);
		} catch (NullPointerException e) {
			System.out.println("null pointer");
		}
		try {
			deep(0);
		} catch (StackOverflowError e) {
			System.out.println("stack overflow");
		}
	}

	static int deep(int n) {
		return deep(n + 1) + 1;
	}

	static void sockets() throws Exception {
		try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
			Thread thread = new Thread(() -> {
				try (Socket peer = server.accept()) {
					peer.getInputStream().transferTo(peer.getOutputStream());
				} catch (IOException e) {
					System.out.println(e);
				}
			});
			thread.start();
			try (Socket client = new Socket(server.getInetAddress(), server.getLocalPort())) {
				client.getOutputStream().write("over loopback".getBytes());
				client.shutdownOutput();
				System.out.println(new String(client.getInputStream().readAllBytes()));
			}
			thread.join();
		}
	}

	public static void main(String[] args) throws Exception {
		System.out.println("primes " + primes(50000));
		pool();
		counters();
		garbage();
		sockets();
		Process process = new ProcessBuilder("/bin/sh", "-c", "cat; exit 6").start();
		process.getOutputStream().write("through cat".getBytes());
		process.getOutputStream().close();
		System.out.println(new String(process.getInputStream().readAllBytes()) + " " + process.waitFor());
		Path file = Files.createTempFile("threads", ".txt");
		Files.writeString(file, "text".repeat(1000));
		System.out.println(Files.size(file));
		Files.delete(file);
		System.exit(8);
	}
}
