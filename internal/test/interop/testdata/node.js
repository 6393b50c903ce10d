// The client as a program: its argument is what the test says.
import { run } from "./client.js";

run(JSON.parse(process.argv[2]));
