"""From a report to a decision that can be explained, appealed and reversed.

Promises: a report is never refused for being unproven, and what is unproven never costs anybody anything
by itself; what was reported is sealed the moment it is judged and opened only by the reviewer who holds the
case, once per entry in the staff log; the number of reports decides nothing; an appeal is decided by
somebody else, and overturning undoes the measure at once.
Must not know: message delivery, behaviour rules, CyberTips. Facts of other rooms are functions that app
passes in; measures are imposed by `people.enforcement` alone.
"""
