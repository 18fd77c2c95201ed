import copy
import pickle
import pprint

data = {"a": [1, {"b": (2, 3)}], "c": {4, 5}}
data["self"] = data["a"]
deep = copy.deepcopy(data)
deep["a"].append(6)
again = pickle.loads(pickle.dumps(data))
[len(data["a"]), len(deep["self"]), again == data, pprint.pformat(data, width=20)]
