// Run by node: worker_threads, child_process, an http server on loopback, files, timers, pipes.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function primes(limit) {
	let count = 0;
	for (let n = 2; n < limit; n++) {
		let prime = true;
		for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
		count += prime;
	}
	return count;
}

if (!isMainThread) {
	const flags = new Int32Array(workerData.shared);
	Atomics.add(flags, 0, 1);
	Atomics.notify(flags, 0);
	parentPort.postMessage({ id: workerData.id, count: primes(workerData.limit) });
} else {
	main().catch((error) => {
		console.log(error);
		process.exit(1);
	});
}

async function workers() {
	const shared = new SharedArrayBuffer(4);
	const all = [1, 2, 3, 4].map((id) => new Promise((resolve, reject) => {
		const worker = new Worker(__filename, { workerData: { id, limit: id * 5000, shared } });
		worker.once('message', resolve);
		worker.once('error', reject);
	}));
	console.log(JSON.stringify(await Promise.all(all)), new Int32Array(shared)[0]);
}

async function children() {
	const { execFile, execFileSync, spawn, spawnSync } = require('child_process');
	console.log(execFileSync('/bin/echo', ['from', 'echo']).toString().trim());
	const done = spawnSync('/bin/sh', ['-c', 'cat; exit 5'], { input: 'x'.repeat(100000) });
	console.log(done.status, done.stdout.length);
	await new Promise((resolve) => execFile('/bin/sh', ['-c', 'kill -TERM $$'], (error) => {
		console.log(error.signal);
		resolve();
	}));
	const cat = spawn('/bin/cat');
	let size = 0;
	cat.stdout.on('data', (data) => { size += data.length; });
	for (let i = 0; i < 50; i++) cat.stdin.write('y'.repeat(4000));
	cat.stdin.end();
	await new Promise((resolve) => cat.on('close', resolve));
	console.log('cat', size);
	await new Promise((resolve) => spawn('/nonexistent').on('error', (error) => {
		console.log(error.code);
		resolve();
	}));
}

async function http() {
	const server = require('http').createServer((request, response) => {
		let size = 0;
		request.on('data', (data) => { size += data.length; });
		request.on('end', () => response.end(`${request.method} ${request.url} ${size} `.repeat(50)));
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address();
	const one = (path, body) => new Promise((resolve, reject) => {
		const request = require('http').request(
			{ port, host: '127.0.0.1', path, method: body ? 'POST' : 'GET' }, (response) => {
				let text = '';
				response.on('data', (data) => { text += data; });
				response.on('end', () => resolve(text));
			});
		request.on('error', reject);
		request.end(body);
	});
	const requests = [];
	for (let i = 0; i < 40; i++) requests.push(one(`/${i}`, i % 2 ? 'z'.repeat(i * 1000) : undefined));
	const answers = await Promise.all(requests);
	console.log(answers[7].slice(0, 20), answers.reduce((sum, text) => sum + text.length, 0));
	await new Promise((resolve) => server.close(resolve));
}

async function files() {
	const fs = require('fs');
	const dir = fs.mkdtempSync('/tmp/node.');
	await Promise.all([...Array(50).keys()].map(
		(i) => fs.promises.writeFile(`${dir}/${i}`, 'data'.repeat(i))));
	const names = await fs.promises.readdir(dir);
	const sizes = await Promise.all(names.map(async (n) => (await fs.promises.stat(`${dir}/${n}`)).size));
	console.log(names.length, sizes.reduce((a, b) => a + b));
	fs.rmSync(dir, { recursive: true });
	console.log(fs.existsSync(dir));
}

async function main() {
	const crypto = require('crypto');
	await workers();
	await children();
	await http();
	await files();
	await new Promise((resolve) => {
		const timer = setTimeout(resolve, 20000);
		process.once('SIGUSR2', () => {
			clearTimeout(timer);
			console.log('SIGUSR2');
			resolve();
		});
		process.kill(process.pid, 'SIGUSR2');
	});
	console.log(crypto.createHash('sha256').update('abc').digest('hex'));
	console.log(require('zlib').gunzipSync(require('zlib').gzipSync('q'.repeat(1e5))).length);
	process.exitCode = 9;
}
