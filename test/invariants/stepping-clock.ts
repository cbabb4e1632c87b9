/** Loaded before a command: its wall clock steps by what the parent says, as a machine's does when somebody sets it. */
const realNow = Date.now.bind(Date);
let stepMs = 0;
Date.now = () => realNow() + stepMs;
process.on('message', (message) => (stepMs = Number(message)));
// Listening must not keep the process alive.
process.channel?.unref();
