// logql.mjs MODULES: reads a JSON list of LogQL queries from standard input, and writes for each the place of its first
// mistake, -1 for none; by Grafana's own grammar, from the node_modules in the folder MODULES.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const {parser} = createRequire(`${process.argv[2]}/`)('@grafana/lezer-logql');

function firstMistake(query) {
  let place = -1;
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError && place < 0) place = node.from;
    },
  });
  return place;
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(firstMistake)));
