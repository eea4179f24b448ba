"""Holds the hand-written question intents of the bundled sample, as plain text that `sample` reads.

A family starts with `# name`, then come its slots, then its meanings. Every line of a paragraph asks the same
thing; different paragraphs, and different slot values, ask different things. An empty line ends a paragraph.

    # rail-duration                              a name of its own
    city: Rome | New York = NYC                  a slot: values behind |, other spellings of a value behind =
    from > to: Madrid | Lisbon | Porto           two slots, never alike; swapping them changes the meaning
    a ~ b: tea | coffee | cocoa                  two slots, never alike; swapping them keeps the meaning
    How long is the [ride|trip] to {city}?       [x|y] are words that may stand for each other
    When do I arrive if I leave now for {city}?  same meaning in other words

    What does a ticket to {city} cost?           next paragraph: topically close, yet another question
    How much is the fare to {city}?

To add a family, copy that shape: at least four wordings in the first paragraph, as different as they come;
two or more further paragraphs of at least two wordings, sharing words with the first; about three or more
values per slot. The wordings of a paragraph use the same slots. A wording belongs to one family; values may
recur.
"""

TRAVEL = """
# rail-duration
from > to: Madrid | Lisbon | Porto | Seville | Valencia
How long does the train [ride|journey] from {from} to {to} take?
How many hours will I sit on the rails if I [leave|depart from] {from} for {to}?
Going from {from} to {to} by rail, what travel time should I expect?
I board a train in {from}. How much later do I get off in {to}?

What does a train ticket from {from} to {to} cost?
How much should I [budget|set aside] for the rail fare to {to} when I start in {from}?

Is there an overnight train that leaves {from} and arrives in {to}?
Do trains run at night so that I can [sleep|rest] on the way from {from} to {to}?

# visa-stay
place: Thailand | Japan | Brazil | Morocco | Turkey = Türkiye
n: 30 = thirty | 60 = sixty | 90 = ninety
Can I [stay|remain] in {place} for {n} days without a visa?
Is a visa [needed|required] for a {n} day visit to {place}?
Do tourists have to apply for permission before spending {n} days in {place}?
{n} days in {place} as a visitor: will my passport alone do?

What happens if I overstay in {place} by {n} days?
I left {place} {n} days after my permit [expired|ran out]; what penalty will I face?

How long does it take to get a {n} day visa for {place}?
What is the [processing|waiting] time for a visa that allows {n} days in {place}?

# fly-with-pet
pet: dog = pet dog | cat = pet cat | rabbit = pet rabbit | parrot = pet parrot
With which airlines may I bring my {pet} into the [cabin|passenger cabin]?
Which airlines let a {pet} sit with its owner during the flight?
I want my {pet} under the seat in front of me on the plane. Who allows that?
What carriers accept a {pet} in the cabin rather than the hold?

Is it safe to send my {pet} in the cargo hold?
Would a {pet} be [okay|all right] travelling down in the luggage compartment of a plane?

What papers does my {pet} need to fly abroad?
Which [documents|certificates] must I show at the border for a {pet}?

How do I calm a nervous {pet} before a flight?
My {pet} gets [anxious|frightened] on the way to the airport; what soothes it?

# airport-transfer
city: Tokyo | Paris | Chicago | Istanbul | Mumbai = Bombay
How do I get from {city} airport to the city [centre|center]?
What is the best way of reaching downtown {city} once my plane has landed?
I land in {city} with two suitcases; how should I travel into town?
Bus, metro or taxi: which one suits someone heading into {city} from its airport?

How do I get from the [centre|center] of {city} to the airport?
I am staying downtown in {city}. What is the smartest way out to the airport?

How early should I be at {city} airport before an international flight?
My plane abroad leaves from {city}; how many hours ahead ought I to check in?

# jet-lag
zone: the west | the east
What [helps|works] against jet lag after flying to {zone}?
How can travellers recover faster when a long trip towards {zone} has upset their sleep?
My body clock is a mess since I flew to {zone}. Any remedies?
Tips for sleeping normally again following a flight to {zone}?

Why does flying to {zone} cause jet lag?
What makes our inner clock [struggle|stumble] when we fly towards {zone}?

How do I prevent jet lag before flying to {zone}?
What should I do in the days ahead of a flight to {zone} so that jet lag never [starts|begins]?

How many days does jet lag last after a flight to {zone}?
When will I feel normal once I have flown to {zone}?

# season-visit
place: Iceland | New Zealand | Peru | Vietnam | Norway
Which month is [best|ideal] for visiting {place}?
When should I plan a holiday in {place} to get good weather?
At what time of year is {place} most pleasant for tourists?
I can take leave whenever I like; when does {place} show its best side?

Which month is worst for visiting {place}?
When should sensible tourists [avoid|stay away from] {place} because of the weather?

When is {place} cheapest to visit?
At what time of year do hotel prices in {place} [drop|fall] to their lowest?

Which places in {place} should I not miss?
What are the must-see [sights|spots] in {place}?

# lost-passport
place: Italy | Canada | Egypt | Mexico | South Korea
What should I do if I [lose|misplace] my passport in {place}?
My passport is gone and I am in {place}. Who do I turn to?
How does a tourist replace a missing passport while travelling around {place}?
Steps to take when travel documents vanish during a trip to {place}?

What should I do if I find someone else's passport in {place}?
Where do I hand in a passport that I [picked up|found] on a street in {place}?

Do I have to carry my passport at all times in {place}?
Are tourists in {place} [obliged|required] by law to have a passport on them?

# hostel-hotel
city: Berlin | Prague | Dublin | Athens | Budapest
What is a decent hostel in {city} for someone travelling alone?
Where can a solo backpacker find a good dorm bed in {city}?
I am visiting {city} by myself on a small budget. Which hostels do you [recommend|suggest]?
Looking for friendly shared accommodation in {city} for one person, any names?

Which hotel in {city} is good for a family with [small|young] children?
We bring two toddlers to {city}; where should we book a room?

How can I work in a hostel in {city} in exchange for a bed?
Do hostels in {city} [offer|give] free lodging to volunteers?

# tipping
place: Spain | Australia | the United States = the USA | Germany | India
How much should I tip a waiter in {place}?
What gratuity do restaurant staff in {place} [expect|count on]?
Dinner is over and I am in {place}: what percentage do I leave on the table?
When eating out in {place}, how big a tip is customary?

How much should I tip a taxi driver in {place}?
At the end of a cab ride in {place}, what gratuity is [usual|normal]?

Is it rude not to tip in {place}?
Would people in {place} be [offended|insulted] if I left nothing extra?

Is it rude to tip in {place}?
Could leaving a tip [offend|insult] anyone in {place}?

# road-trip
from > to: Denver | Seattle | Austin | Miami | Boston
Where should we [stop|take breaks] on a road trip from {from} to {to}?
We are driving from {from} to {to}. Which sights along the way deserve a pause?
What are fun things to see between the start in {from} and the finish in {to} by car?
Planning to go by car to {to}, setting out from {from}: any places worth a detour?

How much does gas cost for a drive from {from} to {to}?
What will I [pay|spend] on fuel if I drive to {to}, starting in {from}?

Is it safe to drive from {from} to {to} in winter?
With snow on the roads, should I [risk|attempt] driving from {from} to {to}?

# carry-on-items
item: a razor | a corkscrew | peanut butter | a drone | a knitting set
Can I pack {item} in my [hand luggage|carry-on]?
Will security take {item} away from me at the checkpoint?
Does the ban at airport screening cover {item}?
{item} in a cabin bag: permitted or not?

Can I pack {item} in my checked [luggage|baggage]?
Is {item} allowed in a suitcase that goes into the hold?

Did airport security ever take {item} from you?
Have you ever had {item} [confiscated|seized] at a checkpoint?

# travel-vaccines
place: Kenya | Bolivia | Indonesia | Ghana | Nepal
Which vaccinations do I need before going to {place}?
What shots are [recommended|advised] for travellers to {place}?
My doctor asks which jabs I want ahead of my {place} trip. What is the list?
Against which diseases should one be immunised prior to a stay in {place}?

Which vaccinations does one need after returning from {place}?
I am back from {place}; should I get any [shots|jabs] now?

Is the tap water in {place} safe to drink?
Will I get sick if I [drink|swallow] water from the tap in {place}?

# cruise-cabin
deck: an inside | a balcony | an oceanview
Is {deck} cabin worth [the money|the price] on a cruise?
Would you book {deck} stateroom again for a week at sea?
Do passengers regret paying for {deck} cabin on board?
Is it sensible to choose {deck} room when sailing?

Where on the ship should I book {deck} cabin to avoid seasickness?
Which deck is [calmest|steadiest] for {deck} cabin if I get queasy at sea?

How large is {deck} cabin on a cruise ship?
How many square feet does {deck} stateroom [have|measure]?

# rent-car-age
n: 18 = eighteen | 19 = nineteen | 21 = twenty-one | 24 = twenty-four
place: Croatia | Portugal | Hawaii | South Africa
Can a {n} year old rent a car in {place}?
I am {n}. Will a rental company in {place} [give|hand] me the keys?
Does being {n} rule out hiring a vehicle in {place}?
Are drivers aged {n} accepted by car hire firms in {place}?

Can a {n} year old buy a car in {place}?
Is someone aged {n} allowed to [own|purchase] a vehicle in {place}?

What surcharge do {n} year olds pay to rent a car in {place}?
How much [extra|more] does a rental in {place} cost if the driver is {n}?

# camping-wild
place: Scotland | Sweden | Austria | Estonia
Is it [legal|lawful] to camp in the wild in {place}?
May I pitch my tent anywhere I like in {place}?
Does {place} permit sleeping outdoors away from official campgrounds?
Will I be fined for putting up a tent in a forest in {place}?

Is it legal to make a campfire in the wild in {place}?
Am I allowed to [light|build] an open fire while camping rough in {place}?

Which campgrounds in {place} are the most beautiful?
Where are the prettiest official [campsites|camping sites] in {place}?

# layover
n: 5 = five | 8 = eight | 12 = twelve
city: Doha | Singapore | Frankfurt | Amsterdam
What can I do in {city} during a {n} hour layover?
I have {n} hours between flights in {city}. How should I [spend|fill] them?
Ideas for passing {n} hours of transit time at {city}?
Stuck in {city} for {n} hours while changing planes: any suggestions?

Is {n} hours enough to leave the airport in {city}?
Do {n} hours in {city} [allow|leave time for] a trip into town between flights?

Where can I sleep during a {n} hour layover in {city}?
Is there a quiet place to [nap|lie down] for {n} hours at {city} airport?

# travel-insurance
event: a missed connection | a cancelled flight | a stolen camera | a broken leg
Does travel insurance [cover|pay for] {event}?
Will my holiday policy reimburse me after {event}?
If {event} spoils my trip, can I get money from the travel insurer?
Is {event} something a typical trip policy compensates?

How do I claim for {event} from my travel insurer?
What paperwork does the travel insurer [want|ask for] after {event}?

Why did my travel insurance refuse to pay for {event}?
My travel insurer [rejected|turned down] the claim for {event}. What might be the reason?
"""

TECH = """
# sort-dictionary
lang: Python | JavaScript = JS | Ruby | PHP
by: value | key
How do I sort a dictionary by {by} in {lang}?
What is the idiomatic {lang} code for ordering a map according to its {by}s?
In {lang}, my hash needs to come out ordered by {by}. Which call does it?
Arranging the entries of a {lang} dict [on|by] their {by}: how is it done?

How do I sort a dictionary by {by} in reverse in {lang}?
I want {lang} to list a map from the highest {by} to the [lowest|smallest]; how?

How do I remove an entry from a dictionary by {by} in {lang}?
What {lang} code [deletes|drops] the item of a map that has a given {by}?

# learn-language-time
lang: Java | Rust | Go = Golang | Swift | Kotlin
How long does it take to learn {lang} well enough for a job?
How many months of [study|practice] until I am employable as a {lang} developer?
Starting from zero, when could I earn a living writing {lang}?
What amount of time must a newcomer put into {lang} to get hired?

Is {lang} hard to learn for a beginner?
Will somebody who has never [programmed|coded] struggle with {lang}?

Which companies hire {lang} developers?
Where can a {lang} [programmer|coder] find work?

What salary does a {lang} developer earn?
How well are people who write {lang} [paid|compensated]?

# convert-types
from > to: a string | an integer | a float | a byte array
What is the safest way of turning {from} into {to} in C#?
How does one convert {from} to {to} in C#?
I have {from} and an API wants {to}. How do I [cast|change] it in C#?
Which C# method takes {from} and gives back {to}?

Why does converting {from} to {to} throw an exception in C#?
My C# program [crashes|fails] when it turns {from} into {to}. What is the reason?

How expensive is converting {from} to {to} in C#?
Does turning {from} into {to} [slow down|hurt the speed of] a C# program?

# git-undo
what: commit | merge | rebase | stash pop
How do I undo the last {what} in Git?
I made a wrong {what} a minute ago; how can Git take it back?
Which Git command [reverts|rolls back] my most recent {what}?
Git: restoring the state from before the latest {what}

How do I undo a {what} in Git after pushing?
My bad {what} is already on the remote. How do I get [rid of it|it out again]?

How do I redo the {what} that I have just undone in Git?
I took back a {what} in Git and now I want it again. [How|What do I do]?

# compare-frameworks
a ~ b: React | Angular | Vue | Svelte
What are the [differences|main differences] between {a} and {b}?
How does {a} compare with {b}?
In which respects do {a} and {b} differ from one another?
{a} versus {b}: what sets them apart?

Can I use {a} and {b} together in one project?
Is it possible to [mix|combine] {a} components with {b} ones on the same page?

Do {a} and {b} have anything in common?
What do the frameworks {a} and {b} [share|have alike]?

# migrate-database
from > to: MySQL | PostgreSQL = Postgres | Oracle | SQL Server = MSSQL | MongoDB
How do I migrate a database from {from} to {to}?
We are leaving {from} for {to}. How should our data make the trip?
What tool moves tables out of {from} and into {to}?
Steps for [replacing|swapping] {from} with {to} while keeping all records?

Why do companies switch from {from} to {to}?
What [drives|pushes] firms to give up {from} in favour of {to}?

Is {from} still a good choice for a new project?
Would you [pick|choose] {from} if you began from scratch today?

# laptop-slow
os: Windows 10 | Windows 11 | Ubuntu | macOS
when: after an update | at startup | during video calls
Why is my {os} laptop so slow {when}?
What makes a notebook running {os} crawl {when}?
My {os} machine drags its feet {when}. Where does that [come from|stem from]?
{os} is painfully sluggish {when}; what could be the reason?

How do I speed up a {os} laptop that is slow {when}?
Which settings make a {os} notebook [faster|quicker] if it lags {when}?

Why is my {os} laptop so loud {when}?
What makes the fans of a {os} notebook [roar|scream] {when}?

# wifi-range
floor: upstairs | in the basement | in the garden | in the garage
How can I [improve|boost] the Wi-Fi signal {floor}?
The wireless internet hardly works {floor}. How do I make it stronger?
My router is of little use {floor}. What helps?
Ways of getting better WLAN reception {floor}?

Why is the Wi-Fi signal so [weak|poor] {floor}?
What is blocking the wireless internet {floor}?

How can I stop my Wi-Fi from being received {floor}?
I want no reception [at all|whatsoever] {floor}. How do I limit the router?

Can my neighbours use my Wi-Fi {floor}?
Are the people next door able to [join|get onto] my wireless network {floor}?

# phone-battery
phone: iPhone | Pixel | Galaxy | OnePlus
Why does my {phone} battery drain so fast?
What eats up the charge of a {phone} within [hours|a few hours]?
My {phone} is empty by noon although I hardly use it. What is the cause?
Reasons for a {phone} losing power too quickly?

Why does my {phone} battery charge so slowly?
What makes a {phone} take [forever|ages] to fill up at the plug?

How do I replace the battery of a {phone}?
What is the way to [swap|change] the cell in my {phone}?

How do I make the battery of a {phone} last longer?
Which [settings|options] save the most power on a {phone}?

# recover-photos
place: an SD card | an iPhone | a hard drive | Google Photos | a USB stick
How can I recover deleted photos from {place}?
Is there a way of getting erased pictures back from {place}?
I wiped all my snapshots on {place} by mistake. Can they be [saved|rescued]?
Which software restores images that were removed from {place}?

How can I permanently delete photos from {place}?
I want the pictures on {place} gone so that nobody can [restore|retrieve] them. How?

How can I copy photos to {place}?
What is the simplest way of [putting|saving] my pictures on {place}?

# hacked-account
site: Facebook | Gmail | Instagram | PayPal | Twitter
My {site} account was hacked. What do I do?
How do I regain control of {site} after someone broke into my profile?
A stranger has taken over my {site} login; how can I get it [back|returned]?
Steps for rescuing a compromised {site} account?

How do I keep my {site} account from being hacked?
What [protects|guards] a {site} login against intruders?

How can I tell whether my {site} account was hacked?
Which signs [show|reveal] that a stranger uses my {site} login?

How do I delete my {site} account for good?
I want to [leave|quit] {site} forever; how is the profile erased?

# block-messages
app: WhatsApp | Telegram | Messenger | Snapchat
How can I tell if someone blocked me on {app}?
What are the signs that a contact has shut me out on {app}?
My friend no longer answers on {app}. Did she block me, and how would I [know|notice]?
Does anything in {app} reveal that I am on a person's block list?

How do I block someone on {app}?
What must I tap so that a person can no longer [write|message] me on {app}?

How do I unblock someone on {app}?
I blocked a friend on {app} and want to [undo|reverse] it. Where is the option?

Does {app} tell people that I blocked them?
Will somebody get a [notice|notification] when I block them on {app}?

# spreadsheet-cells
tool: Excel | Google Sheets | LibreOffice Calc
what: duplicates | blank rows | outliers
How do I remove {what} in {tool}?
My {tool} table is full of {what}. How do they get [deleted|thrown out]?
Quick trick for cleaning {what} out of a sheet in {tool}?
Getting rid of {what} in a {tool} column: what is the menu command?

How do I highlight {what} in {tool} without removing them?
How does {tool} [mark|colour] the {what} in a column but leave them in place?

How do I count {what} in {tool}?
Which {tool} formula tells me the [number|quantity] of {what}?

# pdf-convert
from > to: PDF | Word | JPEG = JPG | EPUB
How do I convert a {from} file to {to} for free?
Is there a free program that makes {to} out of {from}?
I received a {from} document and need it as {to}. Any tool that costs nothing?
What no-cost site [changes|transforms] {from} into {to}?

Why does the layout break when I convert {from} to {to}?
My pages look [wrong|messed up] after going from {from} to {to}. What causes this?

Is it safe to convert {from} to {to} on a website?
Should I [upload|hand over] private files to a site that turns {from} into {to}?

# regex-match
what: an email address | a phone number | a date | a hex colour = a hex color
Which regular expression matches {what}?
How do I write a regex that [recognises|recognizes] {what}?
I need a pattern to validate {what}; what should it look like?
What expression tells me whether a string is {what}?

Which regular expression matches everything except {what}?
How do I write a pattern that [rejects|excludes] {what} and accepts the rest?

Why should nobody use a regular expression to match {what}?
What is [bad|wrong] about validating {what} with a pattern?

# docker-container
what: the network | environment variables | mounted volumes | the log files
How do I inspect {what} of a running Docker container?
My container is up. Where do I [see|look at] {what} in Docker?
Is there a Docker command showing {what} of a live container?
Looking into {what} of a container while it is working: how?

How do I inspect {what} of a stopped Docker container?
My container has exited. How do I get Docker to [show|print] {what}?

How do I change {what} of a running Docker container?
How are {what} in Docker [edited|altered] while the container is up?

# recursion-stack
lang: Python | Java | Scheme | C
Why does deep recursion [overflow|exhaust] the stack in {lang}?
What is the cause of stack overflows when a {lang} function calls itself too often?
My self-calling {lang} function dies at great depth. What is going on?
For what reason does {lang} run out of stack with many nested calls?

How do I rewrite a recursive function as a loop in {lang}?
What is the recipe for turning self-calling {lang} code into [iteration|an iterative form]?

How do I rewrite a loop as a recursive function in {lang}?
What is the recipe for turning an iterative {lang} routine into [recursion|a self-calling one]?

# sql-join
a > b: customers | orders | invoices | products
Which SQL lists all {a}, including those without {b}?
How do I keep {a} that match no {b} in a SQL query?
My join loses rows of {a} that have no partner in {b}. How do I [retain|preserve] them?
Query that returns every row of {a} even where {b} has nothing?

Which SQL lists only those {a} that have no {b}?
How do I [find|select] nothing but {a} lacking any {b}?

Which SQL counts the {b} per row of {a}?
How do I get the [number|tally] of {b} for each of the {a}?

# choose-gpu
task: gaming | video editing | deep learning | 3D rendering
n: 500 = five hundred | 800 = eight hundred | 1000 = one thousand
Which graphics card should I buy for {task} under {n} dollars?
What GPU gives the most for {task} if I can [spend|pay] {n} dollars at most?
My limit is {n} dollars. Which video card do you advise for {task}?
Best card for {task} on a budget of {n} dollars?

Which graphics card should I avoid for {task} under {n} dollars?
What is the [worst|poorest] GPU one can buy for {task} with {n} dollars?

Do I need a graphics card for {task} or is a {n} dollar processor enough?
Could a {n} dollar CPU [handle|manage] {task} with no GPU at all?

# website-host
kind: a blog | an online shop | a portfolio | a forum
What does it cost to run {kind} per year?
How much money goes into keeping {kind} online for [twelve months|one year]?
Annual expenses for operating {kind}: what should I reckon with?
I plan to put up {kind}. Which yearly bills will I face?

How much can one earn with {kind} per year?
What annual [income|revenue] does {kind} bring in?

Where should I host {kind}?
Which provider is [suitable|good] for putting {kind} on the web?

# app-store
os: Android | iOS
n: 3 = three | 6 = six | 12 = twelve
Can one person build an {os} app in {n} months?
Is {n} months enough for a lone developer to finish an {os} application?
Working alone, could I [ship|release] something for {os} within {n} months?
Single-handed {os} development in {n} months: realistic?

Why was my {os} app removed from the store after {n} months?
My {os} application was [deleted|thrown out] of the store {n} months in. What may be the reason?

How many people are needed to build an {os} app in {n} months?
What size of team can [ship|release] an {os} application within {n} months?
"""

HEALTH = """
# headache-after
thing: red wine | exercise | crying | long screen work = long hours at a screen | skipping coffee
Why do I get a headache after {thing}?
What makes my head hurt following {thing}?
{thing} always leaves me with a throbbing skull. What is behind that?
My temples ache each time after {thing}; where does the pain come from?

How can I [relieve|ease] a headache after {thing}?
What gets rid of the pain in my head following {thing}?

How can I [avoid|prevent] a headache when {thing} lies ahead?
What should I do before {thing} so that my head does not start to ache?

Is {thing} good against a headache?
Can {thing} [relieve|soothe] an aching head?

# vitamin-lack
vitamin: vitamin D | vitamin B12 | iron | magnesium | zinc
What are the symptoms of a {vitamin} deficiency?
How does the body show that it lacks {vitamin}?
Which signs tell me that I get too little {vitamin}?
How would I notice being low on {vitamin}?

What are the symptoms of too much {vitamin}?
How does an overdose of {vitamin} [feel|show itself]?

Which foods are [rich in|full of] {vitamin}?
What should I eat to get more {vitamin}?

How does a doctor test for a {vitamin} deficiency?
Which blood [test|exam] finds out that somebody lacks {vitamin}?

# lose-weight
n: 5 = five | 10 = ten | 20 = twenty | 40 = forty
unit: kilos = kg | pounds = lbs
How can I lose {n} {unit} without going to a gym?
What works for shedding {n} {unit} at home?
I want to be {n} {unit} lighter but hate fitness studios. Any plan?
Dropping {n} {unit} with no gym membership: where do I start?

How can I gain {n} {unit} without going to a gym?
What works for putting on {n} {unit} at home?

How can I lose {n} {unit} at the gym?
Working out on machines, how do I [drop|shed] {n} {unit}?

How long does it take to lose {n} {unit}?
After how many weeks could I be {n} {unit} lighter?

# sleep-hours
n: 4 = four | 6 = six | 9 = nine
who: teenager | nurse = hospital nurse | student | new parent = fresh parent
Is {n} hours of sleep enough for a {who}?
Can a {who} stay healthy on {n} hours of rest a night?
As a {who} I sleep {n} hours; is that sufficient?
Does {n} hours in bed meet what a {who} needs?

Is {n} hours of sleep too much for a {who}?
Does a {who} who sleeps {n} hours [oversleep|rest longer than is good]?

Why does a {who} sleep only {n} hours?
What keeps a {who} from [getting|having] more than {n} hours of rest a night?

# snoring
who: husband | father | roommate = flatmate | grandmother
What can my {who} do to stop snoring?
How do I silence the nightly sawing noise of my {who}?
My {who} keeps the house awake with loud breathing at night. Any cure?
Remedies for a {who} who snores?

Why does my {who} snore so loudly?
What is the [cause|reason] that my {who} makes such noises while asleep?

How can I fall asleep next to my snoring {who}?
What lets me [sleep|doze off] beside a {who} who snores?

Is the snoring of my {who} dangerous?
Could it [harm|hurt] my {who} to snore every night?

# drug-mix
a ~ b: ibuprofen | paracetamol = acetaminophen | aspirin | naproxen
Can I take {a} and {b} on the same day?
Is it safe to combine {a} with {b}?
Will {a} plus {b} do me any harm?
May painkillers such as {a} and {b} be used together?

What is the difference between {a} and {b}?
How do {a} and {b} [differ|differ from each other]?

Are {a} and {b} sold without a prescription?
Do I need a doctor's [note|slip] to buy {a} and {b}?

# drug-meal
drug: antibiotics | iron tablets | thyroid pills | metformin tablets | probiotics
Should I take {drug} before a meal?
Are {drug} meant for an empty stomach?
Is the time ahead of eating right for {drug}?
Must my stomach be empty when I swallow {drug}?

Should I take {drug} after a meal?
Are {drug} meant for a [full|filled] stomach?

May I drink alcohol while on {drug}?
Is a glass of wine [okay|fine] during a course of {drug}?

What happens if I forget to take {drug}?
I [missed|skipped] one dose of {drug}. Is that a problem?

# back-pain
cause: sitting all day | gardening | pregnancy | lifting boxes
Which exercises help against back pain from {cause}?
What stretches ease a sore spine caused by {cause}?
My lower back aches because of {cause}. Which movements make it better?
Workout for a back that {cause} has hurt?

Which exercises make back pain from {cause} worse?
My spine is sore from {cause}; what movements should I [avoid|leave out]?

Can {cause} cause lasting back damage?
Does {cause} ruin the spine [for good|permanently]?

Should I see a doctor for back pain from {cause}?
Does a sore spine caused by {cause} [call for|require] medical help?

# running-race
dist: 5k | 10k | half marathon | marathon
n: 6 = six | 10 = ten | 16 = sixteen
How do I train for a {dist} in {n} weeks?
My first {dist} is {n} weeks away. What should my running plan be?
Getting ready for a {dist} within {n} weeks: any schedule?
Which workouts prepare a beginner for a {dist} when {n} weeks remain?

How do I recover from a {dist} in {n} weeks?
My {dist} is over. Will {n} weeks suffice for my legs to [heal|recuperate]?

How far should I run each day {n} weeks before a {dist}?
With {n} weeks to go until my {dist}, what daily [distance|mileage] is right?

# quit-habit
habit: smoking | biting my nails | drinking soda | gambling
How do I quit {habit} for good?
What helps someone give up {habit} forever?
I want {habit} out of my life. What has worked for you?
Breaking free from {habit} permanently: what is the trick?

What happens to my body once I quit {habit}?
Which changes will I [notice|feel] after I have given up {habit}?

How do I help a friend quit {habit}?
My best friend cannot stop {habit}. What can I do for [her|him]?

Why did I start {habit} again?
What made me [go back|return] to {habit} after a long break?

# baby-milestone
skill: crawl | walk | talk | sit up
At what age does a baby start to {skill}?
When do infants usually {skill} for the first time?
How many months old are most children when they begin to {skill}?
What is the normal age for a little one to {skill}?

How do I encourage my baby to {skill}?
What [helps|supports] an infant in learning to {skill}?

Should I worry that my baby does not {skill} yet?
My child is late and still cannot {skill}. Is that a [problem|cause for concern]?

# toothache
n: 2 = two | 4 = four | 7 = seven
How can I stand a toothache for {n} nights until I see a dentist?
What dulls the pain of a bad tooth when the appointment is {n} nights away?
My molar hurts and my dentist is off for {n} nights. How do I cope?
Home remedies to bridge {n} nights with an aching tooth?

Why does my tooth ache {n} nights after a filling?
The dentist filled my molar {n} nights ago. What makes it [hurt|throb]?

Is it normal for gums to bleed for {n} nights after an extraction?
A tooth was pulled. Should I expect the gap to [bleed|leak blood] for {n} nights?

# skin-acne
spot: on my back | on my chin | on my forehead | around my nose
How do I get rid of pimples {spot}?
What treatment clears up acne {spot}?
I am covered in zits {spot}. How do they go away?
Which cream makes breakouts {spot} disappear?

Why do I get pimples {spot}?
What is the [cause|root] of acne {spot}?

How do I hide pimples {spot}?
Which make-up [covers|conceals] acne {spot}?

Should I pop the pimples {spot}?
Does it do harm to [squeeze|press] zits {spot}?

# cold-or-flu
a ~ b: the flu = influenza | a cold | hay fever | strep throat
How can I tell {a} and {b} apart?
What distinguishes {a} from {b}?
Is it {a} or {b}? Which signs decide?
In what way do the symptoms of {a} and {b} differ?

Can someone have {a} and {b} at once?
Is it possible to [suffer from|catch] {a} together with {b}?

Do {a} and {b} need the same treatment?
Are {a} and {b} [cured|treated] in one and the same way?

# blood-donation
n: 2 = two | 4 = four | 8 = eight
event: getting a tattoo | being pregnant | having surgery | visiting the tropics
Can I donate blood {n} months after {event}?
Do blood banks accept donors {n} months after {event}?
Is a wait of {n} months since {event} long enough to give blood?
{n} months have passed since {event}: am I allowed to be a donor?

Can I donate blood {n} months before {event}?
Do blood banks [accept|take] donors {n} months ahead of {event}?

Can I get a vaccine {n} months after {event}?
May I be [vaccinated|immunised] {n} months after {event}?

# allergy-pet
pet: cats | dogs | horses | hamsters
How do I find out whether I am allergic to {pet}?
Which test shows an allergy to {pet}?
I sneeze around {pet}. How can a doctor confirm that it is an allergy?
Ways to check for an allergic reaction to {pet}?

How do I live with {pet} despite an allergy?
I am allergic to {pet} but want to [keep|have] them. How do I cope?

Can an allergy to {pet} go away with age?
Do people [outgrow|lose] an allergic reaction to {pet} as they grow older?

Are {pet} able to be allergic to humans?
Can {pet} [react|respond] with an allergy to people?

# caffeine
drink: espresso = an espresso | green tea | cola | an energy drink
How much caffeine is in {drink}?
What amount of caffeine do I take in with {drink}?
How many milligrams of the stimulant does {drink} contain?
Does anyone know the caffeine content of {drink}?

How many calories are in {drink}?
What [energy|calorie] content does {drink} have?

How long does the caffeine in {drink} keep me awake?
For how many hours will I [feel|notice] the stimulant in {drink}?

Is there a version of {drink} without caffeine?
Can I buy {drink} that is [caffeine-free|decaffeinated]?

# meditation
n: 5 = five | 10 = ten | 30 = thirty
time: in the morning | before bed | at lunch
What are the benefits of meditating for {n} minutes {time}?
How does {n} minutes of meditation {time} do me good?
What do I gain by sitting still with my breath for {n} minutes {time}?
Is there any advantage in {n} mindful minutes {time}?

What are the dangers of meditating for {n} minutes {time}?
Can {n} minutes of meditation {time} do me any [harm|damage]?

How do I stay awake while meditating for {n} minutes {time}?
I [nod off|fall asleep] during my {n} minutes of meditation {time}. What helps?

# glasses-contacts
from > to: glasses | contact lenses | laser surgery
sport: swimming | football = soccer | boxing | skiing
For {sport}, is it worth moving from {from} to {to}?
Would athletes in {sport} gain by giving up {from} for {to}?
I do {sport} and rely on {from}; should I go over to {to}?
When it comes to {sport}, would {to} beat {from}?

For {sport}, what are the risks of moving from {from} to {to}?
What could go [wrong|badly] if I give up {from} for {to} because of {sport}?

# first-aid
wound: a burn | a snake bite | a nosebleed | a deep cut
What is the first aid for {wound}?
How should I treat {wound} until help arrives?
Someone next to me has {wound}. What do I do at once?
Immediate steps in case of {wound}?

What should one never do in case of {wound}?
Which mistakes make {wound} [worse|more serious] before help arrives?

How long does {wound} take to heal?
When is {wound} [fully|completely] healed?

How can children be protected from {wound}?
What [lowers|reduces] the risk of {wound} for kids?
"""

MONEY = """
# invest-amount
n: 1000 = 1,000 | 5000 = 5,000 | 20000 = 20,000
cur: dollars | euros | pounds
How should I invest {n} {cur} as a beginner?
What is a good first investment for someone with {n} {cur}?
I have {n} {cur} saved and no idea about markets. Where should it go?
New to finance: which assets would you buy with {n} {cur}?

How should I not invest {n} {cur} as a beginner?
Into which assets should a newcomer never [put|place] {n} {cur}?

How can I save {n} {cur} as a beginner?
What is an easy way for somebody with no plan to [set aside|put away] {n} {cur}?

How quickly can I double {n} {cur}?
When would {n} {cur} become [twice|two times] as much in the market?

# exchange-money
from > to: dollars = US dollars | euros | yen = Japanese yen | rupees = Indian rupees | pesos = Mexican pesos
Where can I change {from} into {to} at a good rate?
Who offers the best deal on swapping {from} for {to}?
I hold {from} and need {to}. Which exchange office is fair?
Cheapest place for turning {from} to {to}?

Will {from} gain against {to} next year?
Do you [expect|think] that {from} will be worth more {to} a year from now?

Did {from} gain against {to} last year?
Over the past year, have {from} [become|grown to be] worth more {to}?

Why do banks charge so much for changing {from} into {to}?
What makes a swap of {from} for {to} so [costly|expensive] at a bank?

# credit-score
n: 550 | 620 | 700 | 760
What kind of mortgage can I get with a credit score of {n}?
My score stands at {n}. Which home loans are open to me?
Will lenders give money for a house to somebody rated {n}?
Home financing with a {n} rating: what are the options?

How do I raise a credit score of {n}?
My score is stuck at {n}. What would [improve|lift] it?

Why did my credit score drop to {n}?
What made my rating [fall|sink] to {n}?

Can I get a credit card with a score of {n}?
Will a bank give [plastic|a credit card] to a client rated {n}?

# rent-buy-home
from > to: renting = being a tenant | owning = home ownership
city: London | Toronto | Sydney | San Francisco = SF
Is it wise to go from {from} to {to} in {city} now?
Would you give up {from} for {to} if you lived in {city} today?
In the current {city} market, does a step from {from} to {to} pay off?
Living in {city}: is this the moment for {from} to end and {to} to begin?

Was it wise to go from {from} to {to} in {city} ten years ago?
A decade back, did giving up {from} for {to} in {city} [pay off|make sense]?

How much money do I need to go from {from} to {to} in {city}?
What [sum|amount] should I have before I give up {from} for {to} in {city}?

# bank-account-abroad
who: student | tourist | refugee | freelancer
place: Germany | Switzerland | the Netherlands = Holland | Denmark
Can a foreign {who} open a bank account in {place}?
Will a bank in {place} accept a {who} from abroad as a client?
I come from overseas and am a {who}. May I have an account in {place}?
Does {place} let a {who} without citizenship bank there?

Can a foreign {who} close a bank account in {place} from abroad?
I am a {who} and have left {place}. How do I [end|cancel] my account there?

Which bank in {place} is best for a {who}?
Where should a {who} in {place} [open|start] an account?

# salary-live
n: 40000 = 40,000 = 40k | 60000 = 60,000 = 60k | 90000 = 90,000 = 90k
city: Zurich | Seattle | Dublin | Melbourne
Can a family live on {n} a year in {city}?
Is an annual income of {n} enough to raise children in {city}?
We would earn {n} per year. Does that feed a household in {city}?
How comfortable would a couple with kids be in {city} on {n}?

Which jobs in {city} pay {n} a year?
Which occupations in {city} let people [make|earn] {n} annually?

How much tax is due on {n} a year in {city}?
If I earn {n} in {city}, what does the state [take|keep]?

# tax-return
who: a freelancer | a student | a landlord | a retiree = a pensioner
place: Canada | Ireland | France | Japan
Does {who} have to file a tax return in {place}?
Must I send in tax forms in {place} if I am {who}?
Is filing an income declaration compulsory for {who} in {place}?
In {place}, can {who} skip the annual tax paperwork?

When does {who} have to file a tax return in {place}?
By which [date|day] must the tax forms of {who} arrive in {place}?

What can {who} deduct from tax in {place}?
Which expenses [lower|reduce] the tax of {who} in {place}?

# pay-off-debt
a > b: a student loan | a mortgage | a car loan | a credit card bill
Should I pay off {a} before {b}?
Is it smarter to get rid of {a} first and {b} later?
I owe money on {a} and {b}. Does {a} come first?
Clearing {a} ahead of {b}: good idea?

Can I use {a} to pay off {b}?
Is it possible to [settle|clear] {b} with money from {a}?

Why is the interest on {a} higher than on {b}?
What makes {a} [cost|charge] more in interest than {b}?

# stock-ups
company: Apple | Tesla | Netflix | Nvidia | Boeing
Will the stock of {company} rise next year?
Do analysts believe {company} shares will go up in the coming twelve months?
Is the price of {company} on its way upward over the year ahead?
One year from now, will a share of {company} be worth more?

Will the stock of {company} fall next year?
Do analysts believe {company} shares will [go down|drop] in the coming twelve months?

Why did the stock of {company} rise last year?
What [pushed|drove] {company} shares up over the past twelve months?

Does {company} pay a dividend?
Do owners of {company} shares [get|receive] part of the profit each year?

# bitcoin-buy
coin: Bitcoin = BTC | Ethereum = Ether | Dogecoin | Litecoin
place: India | Nigeria | Poland | Argentina
How do I buy {coin} in {place}?
What is a way for people living in {place} to get {coin}?
I live in {place} and want some {coin}. What steps do I take?
Getting hold of {coin} from within {place}: what works?

How do I sell {coin} in {place}?
Being in {place}, how can I [turn|convert] my {coin} into cash?

Is {coin} legal in {place}?
Does the law in {place} [permit|allow] owning {coin}?

Is {coin} taxed in {place}?
Do I owe the state of {place} a share of my {coin} [profit|gains]?

# start-business
n: 500 = five hundred | 2000 = two thousand | 10000 = ten thousand
biz: a bakery | a food truck | a cleaning firm = a cleaning company | a print shop
Is it possible to start {biz} with {n} dollars?
Can {n} dollars get {biz} off the ground?
My savings are {n} dollars. Would they do for opening {biz}?
Founding {biz} on a capital of {n} dollars: is that realistic?

Is it possible to earn {n} dollars a month with {biz}?
Can the owner of {biz} [make|take home] {n} dollars each month?

Is it possible to sell {biz} for {n} dollars?
Would anyone [buy|take over] {biz} for {n} dollars?

# retire-age
n: 45 = forty-five | 55 = fifty-five | 60 = sixty | 67 = sixty-seven
How much money do I need to retire at {n}?
What nest egg lets a person stop working at the age of {n}?
If I quit work for good when I turn {n}, how large must my savings be?
Sum required for leaving the workforce at {n}?

Is {n} a good age to retire?
Would you [advise|recommend] someone to stop working for good at {n}?

Is it too late to save for retirement at {n}?
I am {n} and have put nothing aside. Can I still [build|create] a pension?

# negotiate-salary
when: before signing a contract | after a promotion | at the yearly review
How do I ask for more money {when}?
What should I say to get a higher salary {when}?
Negotiating better pay {when}: what is the right approach?
I feel underpaid. How do I raise the matter {when}?

Is it rude to ask for more money {when}?
Will my boss be [angry|annoyed] if I want a higher salary {when}?

How much more money should I ask for {when}?
What percentage is a [fair|sensible] raise to demand {when}?

What if my boss says no to more money {when}?
My wish for a raise was [turned down|rejected] {when}. What next?

# job-interview
role: data analyst | teacher | nurse | sales manager | barista
Which questions are asked in a {role} interview?
What will they want to know when I apply as a {role}?
Tomorrow I interview for a {role} position. What should I expect to be asked?
Typical things that recruiters ask a future {role}?

Which questions should I ask in a {role} interview?
What should an applicant want to [know|learn] from the employer in a {role} interview?

What should I wear to a {role} interview?
Which [clothes|outfit] should a future {role} put on for the interview?

How long does a {role} interview last?
How many minutes do recruiters [take|spend] for a future {role}?

# quit-job
n: 2 = two | 6 = six | 18 = eighteen
Is it bad to leave a job after {n} months?
Will quitting {n} months in look wrong on my résumé?
I have been with my employer for {n} months and want out. Does that harm my career?
Do recruiters mind a position that lasted {n} months?

Is it bad to stay without a job for {n} months?
Will a gap of {n} months [hurt|spoil] my résumé?

Is it normal to be promoted after {n} months?
Do firms [promote|move up] people who joined {n} months ago?

How do I tell my boss that I am leaving in {n} months?
What is the [right|proper] way to announce that I will be gone {n} months from now?

# career-change
from > to: law | medicine | teaching | marketing | engineering
n: 30 = thirty | 40 = forty | 50 = fifty
Can I switch careers from {from} to {to} at {n}?
Is {n} too old for leaving {from} and entering {to}?
At {n}, is there a path out of {from} that leads into {to}?
I turned {n} and my heart is in {to} although I work in {from}. Is a change feasible?

Why do people switch careers from {from} to {to} at {n}?
What makes {n} year olds [leave|give up] {from} and enter {to}?

Will I earn more if I switch from {from} to {to} at {n}?
Does going out of {from} and into {to} at {n} mean a [higher|better] income?

# remote-work
place: Bali | Mexico City | Lisbon | Tbilisi
Can I work remotely for a US company from {place}?
Is it allowed to do my American job online while living in {place}?
My employer sits in the States; may I move to {place} and keep working?
Telecommuting to an American firm out of {place}: is it legal?

Can I work on site for a US company in {place}?
Is there an American firm whose office in {place} I could [join|work in]?

How fast is the internet for remote workers in {place}?
Does {place} have a [connection|network] good enough for video meetings all day?

Where do remote workers in {place} live?
Which part of {place} is [popular|liked] among people with online jobs?

# cover-letter
n: 2 = two | 3 = three | 4 = four
Should a cover letter be {n} pages long?
Is it right that an application letter fills {n} pages?
My cover letter takes up {n} pages. Would recruiters be happy with that length?
Are {n} pages a suitable length for a motivation letter?

Should a résumé be {n} pages long?
Are {n} pages a suitable length for a [CV|curriculum vitae]?

How do I write a cover letter of {n} pages in one evening?
What helps me [finish|complete] an application letter of {n} pages tonight?

# used-car
n: 50000 = 50,000 = 50k | 100000 = 100,000 = 100k | 200000 = 200,000 = 200k
car: Honda Civic | Toyota Corolla | Ford Focus | BMW
Should I buy a used {car} with {n} miles?
Is a second-hand {car} that has run {n} miles a wise purchase?
Someone offers me a {car} with {n} miles on it. Do I take it?
Does {n} miles on the clock speak against getting a {car}?

Should I sell my {car} at {n} miles?
Is it time to get [rid of|out of] a {car} once it has run {n} miles?

What breaks on a {car} after {n} miles?
Which parts of a {car} [fail|wear out] beyond {n} miles?

How much is a {car} with {n} miles worth?
What price can one [ask|expect] for a {car} that has run {n} miles?

# shopping-return
n: 14 = fourteen | 30 = thirty | 60 = sixty
shop: Amazon | Ikea | Zara | Costco
Can I return an item to {shop} after {n} days?
Does {shop} take things back {n} days after the purchase?
I bought something at {shop} {n} days ago. Is it too late for a refund?
Will {shop} give me my money back when {n} days have gone by?

Can I cancel an order at {shop} within {n} days?
Does {shop} let me [call off|stop] an order in the first {n} days?

Why does {shop} take {n} days to deliver?
My {shop} parcel needs {n} days to [arrive|come]. What is the reason?
"""

HOME = """
# cook-eggs
n: 4 = four | 6 = six | 8 = eight | 10 = ten
How runny is an egg that has been boiled for {n} minutes?
What does the yolk look like after {n} minutes in boiling water?
I cook my breakfast egg {n} minutes. Will the inside be [liquid|fluid] or firm?
Consistency of eggs left in hot water for {n} minutes?

How do I poach an egg for {n} minutes?
What is the trick to {n} minutes of poaching without the white [falling apart|breaking up]?

How runny is an egg that has been fried for {n} minutes?
What does the yolk look like after {n} minutes in a [hot|heated] pan?

# substitute-ingredient
from > to: butter | olive oil | yogurt | sour cream | coconut milk
dish: a cake | mashed potatoes | a curry | muffins
Can I use {to} instead of {from} in {dish}?
Will {dish} still taste good if {to} takes the place of {from}?
I have run out of {from}; does {to} do the job in {dish}?
Recipe for {dish} says {from}. May I swap in {to}?

How much {to} replaces a cup of {from} in {dish}?
In what [ratio|proportion] should {to} stand in for {from} in {dish}?

Is {from} really needed in {dish}?
Will {dish} [work|turn out] if I leave {from} out altogether?

# food-freeze
food: cooked rice | hard cheese | raw egg white | avocado | fresh basil
Can I freeze {food}?
Does {food} survive a stay in the freezer?
Is keeping {food} below zero a good idea?
Storing {food} in the deep freeze: does it work?

How do I thaw {food}?
What is the [right|proper] way of defrosting {food}?

How long can I freeze {food}?
For how many months does {food} [keep|last] in the freezer?

Can I keep {food} in the fridge overnight?
Is {food} still [good|edible] after a night in the refrigerator?

# meat-doneness
meat: a rib of beef | a whole chicken | a leg of lamb | pork shoulder
n: 2 = two | 3 = three | 5 = five
How long do I roast {meat} weighing {n} kilos?
What time in the oven does {meat} of {n} kilos need?
My {n} kilo dinner is {meat}. When will it be done in the oven?
Roasting time for {n} kilos when it comes to {meat}?

At what temperature do I roast {meat} weighing {n} kilos?
How [hot|warm] should the oven be for {meat} of {n} kilos?

How many people does {meat} weighing {n} kilos feed?
I bought {meat} of {n} kilos. How many guests may I [invite|ask over]?

How long should {meat} weighing {n} kilos rest before carving?
Once it leaves the oven, when may I [slice|cut] {meat} of {n} kilos?

# vegan-protein
n: 60 = sixty | 90 = ninety | 120 = one hundred and twenty
How can a vegan eat {n} grams of protein a day?
Which plant foods add up to {n} grams of protein daily?
I eat no animal products. What gets me to {n} grams of protein each day?
Plant-based menu with {n} grams of protein per day?

Does a vegan need {n} grams of protein a day?
Should somebody who lives on plants [aim for|reach] {n} grams of protein daily?

How can a meat eater get {n} grams of protein a day?
Which animal foods [supply|provide] {n} grams of protein daily?

# bread-fail
bread: sourdough | pizza dough | brioche | focaccia
Why does my {bread} not rise?
What is the reason that my {bread} stays flat?
My {bread} refuses to puff up. Where is my mistake?
Causes of {bread} that remains dense and low?

Why does my {bread} rise too fast?
What makes {bread} [swell|puff up] within minutes?

Why does {bread} rise at all?
What [happens|goes on] inside {bread} that makes it grow?

How long should {bread} rise?
When has {bread} [rested|proofed] enough?

# coffee-method
method: French press | moka pot | Aeropress | espresso machine
n: 2 = two | 4 = four | 6 = six
How much coffee goes into a {method} for {n} cups?
What dose of grounds do I need in the {method} when I serve {n} cups?
I brew with a {method}. How many spoons make {n} cups?
Right amount of ground coffee for {n} servings out of a {method}?

How much water goes into a {method} for {n} cups?
What [volume|quantity] of water does the {method} take for {n} cups?

How fine should coffee be ground in a {method} for {n} cups?
Which grind size [fits|suits] a {method} that makes {n} cups?

# spice-too-much
taste: salty | spicy | sweet | sour
dish: soup | stew | tomato sauce | gravy
My {dish} is too {taste}. How can I fix it?
What rescues a {dish} that turned out {taste}?
How do I tone down a {dish} which tastes much too {taste}?
Saving an overly {taste} {dish}: what can be added?

My {dish} is not {taste} enough. How can I fix it?
What do I [add|stir in] so that a bland {dish} gets more {taste}?

Is it unhealthy to eat {dish} that is too {taste}?
Can an overly {taste} {dish} be [bad for me|harmful]?

# stain-remove
stain: red wine | blood | grass | coffee | candle wax
cloth: a cotton shirt | a wool sweater | a silk scarf | a linen tablecloth
How do I get {stain} out of {cloth}?
What removes a {stain} stain from {cloth}?
I ruined {cloth} with {stain}. Can it be cleaned?
Household trick against {stain} on {cloth}?

Can I dye {cloth} to hide a {stain} stain?
Would new [colour|color] cover up {stain} on {cloth}?

Does {stain} on {cloth} come off in cold water?
Will plain cold water [wash|rinse] {stain} off {cloth}?

Why does {stain} on {cloth} turn brown?
What makes the mark of {stain} on {cloth} change its [tint|shade]?

# drain-clog
where: kitchen sink | shower | bathtub | toilet
How do I unclog a {where} without chemicals?
The {where} is blocked. What opens it up if I do not want harsh products?
My {where} drains no more; is there a natural way to free the pipe?
Chemical-free methods for a stopped-up {where}?

How do I unclog a {where} with chemicals?
Which [chemical|drain cleaner] opens up a blocked {where}?

Why does my {where} keep clogging?
What is the [cause|reason] that the {where} gets blocked again and again?

Who pays the plumber for a clogged {where}, me or the landlord?
The {where} in my rented flat is blocked. Is the [bill|cost] mine or the owner's?

# wall-paint
from > to: white | dark green | navy blue | bright red | black
How many coats do I need to paint a {from} wall {to}?
My wall is {from} and should be {to}. How often must I go over it?
Turning a room from {from} to {to}: how many layers does that take?
Number of paint layers until {to} hides {from}?

Do I need primer to paint a {from} wall {to}?
Must I put an [undercoat|undercoating] on a {from} wall ahead of the {to} paint?

How much {to} paint do I need for a {from} wall?
My wall is {from}. How many [litres|liters] of {to} should I buy?

# hang-shelf
wall: drywall = plasterboard | brick | concrete | tile
n: 10 | 25 | 50
How do I hang a shelf that holds {n} kilos on {wall}?
What anchors carry a load of {n} kilos on {wall}?
My wall is {wall}. How should I mount a board for {n} kilos of books?
Fixing {n} kilos safely to {wall}: which screws?

How do I remove a {n} kilo shelf from {wall}?
What is the way to take a board of {n} kilos [off|down from] {wall} without damage?

Can {wall} hold {n} kilos at all?
Is {wall} [strong|sturdy] enough for a load of {n} kilos?

# mould-bathroom
room: bathroom | bedroom | cellar = basement | laundry room
How do I remove [mould|mold] from the {room}?
What kills the black fungus on my {room} walls?
There are dark spots of fungus in our {room}. How do they go away?
Getting rid of mildew in a {room}: which product?

How do I prevent [mould|mold] in the {room}?
What [stops|keeps] fungus from ever growing in my {room}?

Is [mould|mold] in the {room} bad for my health?
Can dark fungus in our {room} make us [sick|ill]?

May I cut the rent because of [mould|mold] in the {room}?
Do tenants get [money off|a discount] when fungus grows in the {room}?

# plant-leaves
plant: monstera | fern | orchid | tomato plant | lemon tree
Why do the leaves of my {plant} turn yellow?
What makes my {plant} lose its green [colour|color]?
My {plant} is going pale all over; what is it missing?
Causes of yellowing foliage on a {plant}?

Why do the leaves of my {plant} fall off?
What makes my {plant} [drop|shed] its foliage?

How often should I water a {plant}?
What is the right [interval|rhythm] for watering my {plant}?

How do I grow a {plant} from a cutting?
Can a single stem of a {plant} be [turned|raised] into a new one?

# garden-sow
veg: carrots | pumpkins | radishes | peppers | onions
When should I sow {veg} outdoors?
In which month do {veg} go into the ground as seed?
What is the right time of year to start {veg} in the garden bed?
My garden is ready for seed. When is it the turn of {veg}?

When should I harvest {veg}?
In which month are {veg} [ready|ripe] to be picked?

How deep should I sow {veg}?
How far down in the soil does the seed of {veg} [belong|go]?

Which vegetables grow well next to {veg}?
What are good [neighbours|companions] for {veg} in a garden bed?

# pests
pest: ants | mice | moths | bed bugs | cockroaches
room: the kitchen | the bedroom | the attic | the garage
How do I get rid of {pest} in {room}?
What drives {pest} out of {room} for good?
We share {room} with {pest}; which remedy works?
Fighting {pest} that live in {room}: any advice?

How do {pest} get into {room}?
What [route|path] do {pest} use to reach {room}?

Are {pest} in {room} dangerous?
Can {pest} living in {room} [hurt|harm] us?

How do I get rid of {pest} in {room} without killing them?
Is there a [gentle|humane] way of moving {pest} out of {room} alive?

# heating-choice
from > to: gas heating | a heat pump | pellet heating | electric heaters
Does it pay to replace {from} with {to} in an old house?
Our old home runs on {from}. Would {to} be the better deal?
Is going from {from} to {to} worth the money in an old building?
Should owners of an aged house throw out {from} and install {to}?

How long does it take to replace {from} with {to} in an old house?
For how many days will workers be in our old home to [swap|exchange] {from} for {to}?

Is there a subsidy for replacing {from} with {to} in an old house?
Does the state [support|help] owners of old homes who go from {from} to {to}?

# solar-panels
n: 4 = four | 8 = eight | 12 = twelve
place: Germany | California | Scotland | Kenya
How much power do {n} solar panels make per year in {place}?
What annual yield can I expect from {n} solar modules on a roof in {place}?
I live in {place}. How many kilowatt hours would {n} panels bring in twelve months?
Electricity output of {n} photovoltaic panels across a year in {place}?

How much do {n} solar panels cost in {place}?
What [price|sum] will I pay in {place} for {n} solar modules?

Do I need a permit for {n} solar panels in {place}?
Must an office in {place} [approve|allow] {n} modules on my roof?

# washing-machine
sign: smells bad | leaks | shakes violently | does not spin | does not drain
My washing machine {sign}. What could be the cause?
Why is it that a washer {sign}?
What is wrong with a laundry machine which {sign}?
Reasons for it when a clothes washer {sign}?

My washing machine {sign}. How do I repair it myself?
Which do-it-yourself [fix|repair] helps when a washer {sign}?

My washing machine {sign}. Is it time for a new one?
Should I [throw away|scrap] a washer that {sign}?

My dishwasher {sign}. What could be the cause?
Why is it that a [dish washer|dishwashing machine] {sign}?

# move-apartment
n: 2 = two | 4 = four | 8 = eight
city: New York = NYC | Hong Kong | Vienna | Stockholm
How do I find an apartment in {city} within {n} weeks?
I have {n} weeks to get a flat in {city}. Where do I look?
Is there a trick for landing a place to live in {city} in just {n} weeks?
Flat hunting in {city} when {n} weeks are left: what works?

How do I leave an apartment in {city} within {n} weeks?
I must be out of my {city} flat in {n} weeks. How do I [end|terminate] the lease?

May I rent out my apartment in {city} for {n} weeks?
Am I allowed to [sublet|let] my {city} flat for {n} weeks?

# noisy-neighbour
noise: barking | loud music | drum practice | late parties
What can I do about the {noise} next door?
How should I deal with a [neighbour|neighbor] who causes trouble: {noise}?
The people beside us get on my nerves, {noise} and all. What are my options?
Handling {noise} coming from the flat next to mine?

Should I call the police about the {noise} next door?
Is it right to [alert|phone] the cops because of {noise} in the flat next to mine?

My [neighbour|neighbor] complains about {noise} at our place. What can I do?
The people beside us are upset about our {noise}. How should I [react|respond]?

# dog-training
act: bark at visitors | pull on the leash | jump on people | chew shoes
How do I teach my dog not to {act}?
My dog likes to {act}. How does it unlearn that?
What training stops dogs that {act}?
Ways of getting a puppy to no longer {act}?

How do I teach my dog to {act}?
What training gets a puppy to {act} on [command|cue]?

Why do dogs {act}?
What is the [reason|motive] that makes a dog {act}?

How do I teach my children not to be afraid of dogs that {act}?
My kids [fear|dread] dogs that {act}. How do they learn to relax?

# cat-behaviour
act: scratch the sofa | bite my feet | meow all night | knock over cups
Why does my cat {act}?
What is the reason that a cat would {act}?
My cat loves to {act}. What is she trying to say?
Explain what drives cats to {act}.

How do I stop my cat when she wants to {act}?
Which trick makes it [boring|dull] for a cat to {act}?

At what age do cats begin to {act}?
How old are [kittens|young cats] when they first {act}?

# pet-food
animal: dogs | cats | rabbits | hamsters | parrots
food: grapes | apples | bananas | peanuts | raw carrots
Can {animal} eat {food}?
Are {food} or the like safe in the diet of {animal}?
May I feed {food} to {animal}?
{food} for {animal}: healthy treat or poison?

Why do {animal} like {food}?
What makes {food} so [tasty|attractive] to {animal}?

My pets ate {food} by accident. Is that dangerous for {animal}?
Should {animal} see a vet after [eating|swallowing] {food} by mistake?

How do I hide pills for {animal} in {food}?
How can I [sneak|smuggle] medicine to {animal} inside {food}?

# adopt-animal
animal: puppy | kitten | greyhound | parrot
where: a shelter | a breeder
What should I ask before I get a {animal} from {where}?
Which questions matter when picking up a {animal} at {where}?
We want a {animal} and go to {where}. What must we find out first?
Taking home a {animal} from {where}: what should they tell me?

How much does a {animal} from {where} cost?
What [price|fee] do people pay for a {animal} at {where}?

Can I give a {animal} back to {where}?
Does {where} [accept|take back] a {animal} that did not fit in?
"""

SCIENCE = """
# planet-distance
from > to: Earth | Mars | Venus | Jupiter | Saturn
How long would a spacecraft need to fly from {from} to {to}?
What is the travel time of a probe launched at {from} towards {to}?
If a rocket leaves {from} today, how many months pass until it gets to {to}?
Duration of a space trip with start {from} and destination {to}?

How bright does {to} look in the sky of {from}?
Standing on {from}, would one [see|spot] {to} as a bright star?

How long does light travel from {from} to {to}?
A laser flashes on {from}. How many minutes until {to} [receives|gets] the light?

# planet-day
planet: Mercury | Uranus | Neptune | Pluto
How long is a day on {planet}?
What time does {planet} need to spin around once?
After how many hours does {planet} complete one turn about its own axis?
Length of one rotation of {planet}?

How long is a year on {planet}?
What time does {planet} need for one [orbit|trip] around the Sun?

How cold is it on {planet} at night?
What [temperature|degree of cold] would I meet on the dark side of {planet}?

Could humans live on {planet}?
Is there any [chance|hope] of a human base on {planet}?

# sky-colour
what: the sky blue | the sunset red | the ocean blue | the snow white | the grass green
Why is {what}?
What physical reason makes {what}?
My kid wonders what turns {what}. How do I answer?
Explain to a layman what renders {what}.

Who was the first to know what makes {what}?
Who [discovered|found out] what makes {what}?

Would other animals also call {what}?
Do birds and bees [perceive|see] {what} as we do?

# boiling-altitude
n: 2000 = 2,000 | 4000 = 4,000 | 8000 = 8,000
At what temperature does water boil at {n} metres?
What is the boiling point of water {n} metres above the sea?
I am camping {n} metres up. How hot does my bubbling water get?
Boiling temperature on a {n} metre mountain?

At what temperature does water freeze at {n} metres?
What is the freezing point of water {n} metres [above|over] the sea?

Why does water boil sooner at {n} metres?
What makes water bubble at [lower|less] heat on a {n} metre mountain?

How long do potatoes cook at {n} metres?
On a {n} metre mountain, when are boiled potatoes [done|ready]?

# animal-fast
a > b: a cheetah | a horse | an ostrich | a greyhound | a kangaroo
Is {a} faster than {b}?
Would {a} beat {b} in a race?
{a} and {b} run side by side. Does the former win?
Can {a} outrun {b}?

Is {a} heavier than {b}?
Does {a} [weigh|tip the scales at] more than {b}?

Why is {a} afraid of {b}?
What makes {a} [flee|run away] from {b}?

# dinosaur-extinct
animal: the dinosaurs | the mammoths | the dodos | the Tasmanian tigers
Why did {animal} die out?
What caused the extinction of {animal}?
For what reason do we no longer have {animal} on Earth?
Which events wiped out {animal}?

When did {animal} die out?
How long ago did the last of {animal} [perish|vanish]?

Could science bring {animal} back?
Will cloning ever [revive|resurrect] {animal}?

What did {animal} eat?
Which [food|diet] kept {animal} alive?

# element-property
metal: gold | copper | aluminium = aluminum | titanium | silver
Does {metal} rust?
Will {metal} corrode when it gets wet?
I left something made of {metal} out in the rain. Can it oxidise away?
Is {metal} attacked by water and air over time?

Does {metal} stick to a magnet?
Is {metal} [pulled|attracted] by magnets?

Does {metal} conduct heat well?
How good is {metal} at [carrying|passing on] warmth?

How is {metal} mined?
By what method do people [get|dig] {metal} out of the ground?

# unit-convert
from > to: miles | kilometres = kilometers | nautical miles | yards
n: 3 = three | 10 = ten | 26 = twenty-six
How do I convert {n} {from} to {to}?
What is {n} {from} expressed in {to}?
If I walk {n} {from}, how many {to} have I covered?
{n} {from} equal what number of {to}?

How long does it take to walk {n} {from}?
I have {n} {from} to go on foot. When will I [arrive|be there]?

Which countries measure in {from}?
Where do people [count|reckon] distances in {from}?

# temperature-convert
from > to: Celsius | Fahrenheit | Kelvin | Rankine
n: 0 = zero | 37 = thirty-seven | 100 = one hundred
How do I convert {n} degrees {from} to {to}?
What are {n} degrees {from} on the {to} scale?
A thermometer says {n} in {from}; which value would one in {to} show?
{n} {from} in {to}, please?

Who came up with the {from} scale?
Which scientist [devised|invented] the scale called {from}?

Is it warm or cold at {n} degrees {from}?
Would I [freeze|shiver] or sweat at {n} degrees {from}?

# maths-prove
thing: the square root of 2 is irrational | there are infinitely many primes | zero factorial is one
How can I prove that {thing}?
What is a simple argument showing that {thing}?
My teacher claims that {thing}. How is it shown?
Give me an elegant proof that {thing}.

Who was the first to prove that {thing}?
Which mathematician [discovered|found] that {thing}?

Why is it useful to know that {thing}?
What [practical|real] use has the fact that {thing}?

Is it possible to disprove that {thing}?
Could somebody show it to be [false|wrong] that {thing}?

# probability-dice
n: 2 = two | 3 = three | 4 = four | 5 = five
What is the probability of rolling {n} sixes in a row?
How likely are {n} consecutive sixes with a fair die?
I throw a die {n} times. What are the odds that each shows a six?
Chance of nothing but sixes in {n} throws?

What is the probability of rolling no six in {n} throws?
How likely is it that a fair die [avoids|never shows] the six {n} times?

What is the probability of rolling at least one six in {n} throws?
How likely does a six [appear|come up] once or more if I throw {n} times?

# earthquake
place: Tokyo | San Francisco = SF | Lisbon | Santiago
n: 7 = seven | 8 = eight | 9 = nine
Will an earthquake of magnitude {n} hit {place} in the next decade?
How likely is a magnitude {n} quake in {place} during the ten years to come?
Do scientists expect the ground under {place} to shake with magnitude {n} within a decade?
Is {place} about to see a magnitude {n} tremor in the next ten years?

Did an earthquake of magnitude {n} hit {place} in the last decade?
Has the ground under {place} [shaken|trembled] with magnitude {n} during the past ten years?

How do I survive an earthquake of magnitude {n} in {place}?
What should people in {place} do [once|when] a magnitude {n} quake begins?

# climate-change
place: the Arctic | the Sahara | the Amazon | the Alps
How will climate change affect {place}?
What does global warming mean for the future of {place}?
Which changes await {place} as the planet heats up?
A warmer Earth: what are the consequences for {place}?

How does {place} affect the climate?
What [role|part] does {place} play in the weather of the planet?

How did the climate of {place} change in the last century?
What has the warming of the past hundred years [done|brought] to {place}?

Can {place} be saved from climate change?
Is there still a way to [protect|shield] {place} from global warming?

# brain-memory
what: names | dreams | foreign words | dates | faces
Why do I forget {what} so quickly?
What is the reason that {what} slip my mind right away?
My brain drops {what} at once. How come?
Explain the rapid fading of {what} from memory.

How can I remember {what} better?
Which memory tricks make {what} [stick|stay]?

How can I forget {what} on purpose?
Is there a method to [erase|wipe] {what} from memory?

Is it a sign of dementia to forget {what}?
Should I [worry|be alarmed] about dementia if {what} slip my mind?

# water-bodies
river: the Nile | the Danube | the Mississippi | the Ganges | the Rhine
Where does {river} begin?
What is the source of {river}?
From which spot does {river} spring?
Going all the way upstream, at what place do I find the start of {river}?

Where does {river} end?
Into which [sea|waters] does {river} flow?

How long is {river}?
Over how many kilometres does {river} [run|stretch]?

Is it safe to swim in {river}?
Can I take a [dip|bath] in {river} without risk?

# mountain-height
peak: Everest | Kilimanjaro | Mont Blanc | Denali | Fuji
How hard is it to climb {peak}?
Is reaching the top of {peak} difficult for an amateur?
Is the ascent of {peak} a tough one?
Could an average hiker make it up {peak}?

How high is {peak}?
What is the [elevation|altitude] of the top of {peak}?

Who was the first person to climb {peak}?
Which [mountaineer|climber] reached the top of {peak} before anybody else?

How long does it take to climb {peak}?
How many days does the [way|trek] to the top of {peak} last?

How hard is it to get down from {peak}?
Is the [descent|way down] from {peak} difficult for an amateur?

# invention-who
thing: the telephone | the light bulb | the steam engine | the printing press | penicillin
Who invented {thing}?
Whose idea was {thing}?
To which person do we owe {thing}?
Name the inventor of {thing}.

When was {thing} invented?
In which year did {thing} [appear|come up] for the first time?

How does {thing} work?
What is the [principle|mechanism] behind {thing}?

How did {thing} change the world?
What [effect|impact] did {thing} have on society?

# energy-source
a ~ b: nuclear power | wind power | solar power | coal power
Which is cheaper, {a} or {b}?
Does {a} or {b} cost less per kilowatt hour?
If price were all that mattered, would you pick {a} or {b}?
Comparing the bills, who wins: {a} or {b}?

Which is safer, {a} or {b}?
Do more people [die|get killed] because of {a} or of {b}?

Can a country run on {a} and {b} alone?
Would {a} plus {b} [suffice|be enough] for a whole nation?

# dna-test
kin: a grandfather | a cousin | a half-sister | a great-aunt
Can a DNA test show that someone is {kin} of mine?
Is a gene test able to confirm {kin}?
How reliably does genetic testing identify {kin}?
I found a stranger who may be {kin}. Would our DNA reveal that?

How much DNA do I share with {kin}?
What [share|percentage] of my genes comes up again in {kin}?

Can a DNA test rule out that someone is {kin} of mine?
Is a gene test able to [disprove|exclude] {kin}?

# eclipse
kind: solar | lunar
place: Spain | Australia | Texas | Iceland
When is the next {kind} eclipse in {place}?
How long must people in {place} wait for another {kind} eclipse?
What is the date of the coming {kind} eclipse over {place}?
I live in {place}. On which day can I watch a {kind} eclipse soon?

When was the last {kind} eclipse in {place}?
How long ago did people in {place} [see|watch] a {kind} eclipse?

Is it safe to watch a {kind} eclipse in {place} with bare eyes?
Do I need [glasses|eye protection] for a {kind} eclipse in {place}?

Where in {place} is a {kind} eclipse best seen?
Which [spot|location] in {place} gives the best view of a {kind} eclipse?

# ai-future
job: doctors | truck drivers | translators | lawyers | programmers
Will artificial intelligence replace {job}?
Are {job} going to lose their work to smart machines?
Do {job} have to fear that AI takes over what they do?
Is there a future for {job} in the age of AI?

How does artificial intelligence help {job}?
In what way do smart machines [support|assist] {job}?

How can {job} learn about artificial intelligence?
What is a [suitable|good] way for {job} to get into AI?

Did artificial intelligence replace {job} in the past years?
Have {job} [already lost|lost] their work to smart machines?

# telescope
thing: the rings of Saturn | the moons of Jupiter | the Orion Nebula | the craters of the Moon
n: 60 | 90 | 150
Can I see {thing} with a {n} mm telescope?
Is an aperture of {n} mm large enough to show {thing}?
I own a telescope of {n} mm. Will {thing} be visible?
Will I make out {thing} through {n} mm of glass?

Can I photograph {thing} with a {n} mm telescope?
Is it possible to take [pictures|photos] of {thing} through {n} mm of glass?

Which eyepiece shows {thing} best in a {n} mm telescope?
What eyepiece [suits|fits] {thing} if my aperture is {n} mm?
"""

PEOPLE = """
# learn-tongue-time
tongue: Spanish | Mandarin = Mandarin Chinese | Arabic | Finnish | Swahili
n: 3 = three | 6 = six | 12 = twelve
Can I become fluent in {tongue} in {n} months?
Is speaking {tongue} well within {n} months a realistic goal?
I give myself {n} months to master {tongue}. Will that work out?
Fluency in {tongue} after {n} months: dream or reality?

Can I forget my {tongue} within {n} months?
Does one lose {tongue} after {n} months without [practice|speaking it]?

Which book teaches {tongue} in {n} months?
What [textbook|course book] suits someone who wants {tongue} within {n} months?

Why did it take you only {n} months to become fluent in {tongue}?
How come you mastered {tongue} in a mere {n} months, what was your [secret|trick]?

# translate-phrase
lang: English | French | German | Japanese | Portuguese
phrase: good luck | I miss you | see you tomorrow | happy birthday
How do I say "{phrase}" in {lang}?
Which {lang} words mean "{phrase}"?
My pen pal knows nothing but {lang}. How would I tell her "{phrase}"?
Please put "{phrase}" into {lang} for me.

How is "{phrase}" pronounced in {lang}?
What does "{phrase}" sound like when it is [spoken|uttered] in {lang}?

When is it rude to say "{phrase}" in {lang}?
Are there moments when "{phrase}" [offends|hurts] speakers of {lang}?

How do I reply to "{phrase}" in {lang}?
Somebody tells me "{phrase}" in {lang}. What do I [answer|say back]?

# similar-tongues
a ~ b: Norwegian | Danish | Dutch | Icelandic | Afrikaans
Are {a} and {b} mutually intelligible?
Can speakers of {a} and {b} understand each other?
If one person talks {a} and the other {b}, will they follow the chat?
Do {a} and {b} resemble each other enough for a conversation?

Is it confusing to learn {a} and {b} at once?
Will I [mix up|confuse] {a} and {b} if I study them in parallel?

Which has more speakers, {a} or {b}?
Do more people [talk|use] {a} or {b}?

# grammar-english
a ~ b: who | whom | that | which
When do I use {a} and when {b} in English?
How do I choose between the words {a} and {b}?
I never know whether to write {a} or {b}. What is the rule?
Correct usage of {a} versus {b}?

Why do English speakers mix up {a} and {b}?
What makes the words {a} and {b} so [confusing|easy to swap]?

How old are the words {a} and {b}?
Since when have {a} and {b} been [part of|around in] English?

# study-exam
exam: the SAT | the GMAT | the bar exam | the driving theory test | the TOEFL
n: 2 = two | 4 = four | 8 = eight
How should I study for {exam} in {n} weeks?
What is a good plan to prepare for {exam} when {n} weeks are left?
{exam} takes place {n} weeks from now. How do I get ready?
I have {n} weeks to learn everything for {exam}. Advice?

Will I get the results of {exam} within {n} weeks?
Are the [scores|marks] of {exam} out after {n} weeks?

Can I retake {exam} after {n} weeks?
I failed {exam}. Is a second [attempt|try] allowed {n} weeks later?

Should I take a break from studying {n} weeks before {exam}?
Is it smart to [pause|rest] when {exam} is {n} weeks away?

# university-apply
uni: Harvard | Oxford | ETH Zurich | the University of Tokyo
field: physics | history | economics | architecture
What does it take to be admitted to {uni} for {field}?
How do I get into the {field} programme at {uni}?
I dream of {field} at {uni}. Which requirements must I meet?
How does one qualify for {field} at {uni}?

What does it cost to study {field} at {uni}?
How high are the [fees|tuition fees] for {field} at {uni}?

What can I do after studying {field} at {uni}?
Which jobs are open to those who [finished|completed] {field} at {uni}?

What does it take to be hired as a {field} professor at {uni}?
How do I become a [lecturer|teacher] of {field} at {uni}?

# homework-kids
grade: first | third | fifth | eighth
How much homework is normal in {grade} grade?
What workload should a {grade} grader have after school?
My child is in {grade} grade. How many exercises per day are reasonable?
Usual amount of school tasks at home in {grade} grade?

Should there be any homework in {grade} grade?
Would you [abolish|ban] school tasks at home for {grade} graders?

How do I help my {grade} grader with homework?
My child finds the school tasks of {grade} grade hard. How can I [assist|support]?

What does a {grade} grader do when there is no homework?
How do kids in {grade} grade [fill|spend] an afternoon free of school tasks?

# toddler-sleep
n: 2 = two | 3 = three | 4 = four
act: sleep in her own bed | brush her teeth | eat vegetables | use the potty
How do I get my {n} year old daughter to {act}?
My girl is {n} and will not {act}. What can I do?
Tricks to make a {n} year old girl {act}?
What convinces a little girl of {n} that she should {act}?

Why does my {n} year old daughter refuse to {act}?
What is [behind it|the reason] when a {n} year old girl will not {act}?

Is it normal for a {n} year old girl to {act} without being told?
My girl of {n} likes to {act} all by herself. Is that [common|usual]?

# screen-time
n: 2 = two | 3 = three | 4 = four
age: 5 = five | 8 = eight | 12 = twelve | 15 = fifteen
dev: tablet | TV = television | game console | smartphone
Are {n} hours per day on the {dev} fine at age {age}?
My kid is {age}. May the daily {dev} limit be {n} hours?
Would you let a child of {age} use a {dev} for {n} hours a day?
Daily {dev} time for someone aged {age}: do {n} hours sound reasonable?

How do I cut the {dev} use of my child of {age} down to {n} hours a day?
My kid is {age}. What [gets|brings] the daily {dev} time down to {n} hours?

Which {dev} is right for a child of {age}?
My kid is {age}. What {dev} should we [buy|purchase]?

# friend-zone
who: coworker = colleague | best friend | neighbour = neighbor | classmate
How do I tell my {who} that I have feelings for her?
What is a good way of confessing love to a {who}?
I fell for my {who}. How should I let her know?
Revealing a crush to a {who}: how is it done gracefully?

How do I hide from my {who} that I have feelings for her?
I fell for my {who}. What keeps her from [noticing|finding out]?

How do I tell whether my {who} has feelings for me?
Which signs [show|suggest] that a {who} is in love with me?

How do I tell my {who} that I have no feelings for her?
My {who} loves me and I do not love her. How do I [say|explain] it kindly?

# breakup
n: 2 = two | 3 = three | 7 = seven
unit: months of dating | years together
How do I get over a breakup after {n} {unit}?
It is over between us after {n} {unit}. What helps the pain go away?
{n} {unit} and now she has left me. How can my heart heal?
Moving on once {n} {unit} have come to an end: any advice?

How do I break up after {n} {unit}?
What is a kind way of [ending|finishing] things after {n} {unit}?

Why do couples break up after {n} {unit}?
What makes so many pairs [split|separate] after {n} {unit}?

Can we still be friends when {n} {unit} have come to an end?
Is a [friendship|platonic bond] possible with an ex after {n} {unit}?

# wedding-guest
item: a black dress | jeans | white shoes | a hat
role: guest | bridesmaid | best man
Is it okay to wear {item} to a wedding as a {role}?
Would {item} be a faux pas for a {role} on the big day?
I am a {role} soon. May I turn up in {item}?
{item} on a {role}: acceptable at a marriage ceremony?

Is it okay to wear {item} to a funeral?
Would {item} be a faux pas at a burial [service|ceremony]?

Where do I buy {item} for a wedding where I am a {role}?
Which [shop|store] sells {item} fit for a {role}?

# gift-idea
who: father-in-law | teenage niece | boss | grandmother
n: 20 = twenty | 50 = fifty | 100 = one hundred
What is a nice birthday gift for my {who} under {n} dollars?
My {who} turns a year older. What present costs no more than {n} dollars?
Present ideas for a {who} with {n} dollars to spend?
I can spare {n} dollars. What would delight my {who} on the big day?

What is a nice farewell gift for my {who} under {n} dollars?
My {who} is moving away. Which [present|gift] costs no more than {n} dollars?

Is it rude to give my {who} {n} dollars in cash?
Would my {who} be [offended|hurt] by an envelope with {n} dollars?

My {who} gave me {n} dollars. How do I say thank you?
What should I [write|reply] to my {who} who sent {n} dollars?

# in-laws
who: mother-in-law | father-in-law | sister-in-law | brother-in-law
How do I get along with a difficult {who}?
My {who} is a pain. How can we live in peace?
What improves things with a {who} who is hard to deal with?
Keeping the peace with a nasty {who}: any suggestions?

How do I avoid a difficult {who}?
My {who} is a pain. How can I [dodge|escape] family visits?

Why does my {who} dislike me?
What makes a {who} [hate|reject] the person who married into the family?

Should I move in with a difficult {who}?
Is it [wise|smart] to share a home with a {who} who is hard to deal with?

# long-distance
from > to: Lisbon | Helsinki | Toronto | Osaka
Should I move from {from} to {to} for love?
Would you leave {from} and follow your partner to {to}?
My girlfriend is in {to} and I am in {from}. Shall I go and live with her?
Giving up {from} for a partner in {to}: a good idea?

Can a relationship survive if I stay in {from} and she is in {to}?
Will our love [last|endure] with me in {from} and her in {to}?

How often should I fly from {from} to {to} to see my partner?
My partner is in {to} and I am in {from}. How many [visits|trips] a year are right?

# shy-social
place: at parties | at work | on a first date | in a new class
How can I be less shy {place}?
What helps an introvert open up {place}?
I hardly get a word out {place}. How do I become more confident?
Overcoming timidity {place}: what works?

Why am I so shy {place}?
What [causes|triggers] my timidity {place}?

How can I talk less {place}?
I chatter without end {place}. How do I [learn|manage] to be quiet?

How do I make a shy person feel welcome {place}?
What can I do so that an introvert [relaxes|feels at ease] {place}?

# roommate-chores
chore: wash the dishes | take out the trash | clean the bathroom | vacuum the hall
How do I get my roommate to {chore}?
My flatmate never wants to {chore}. What should I do?
What would make a lazy person who shares my flat {chore}?
I live with someone who does not {chore}. How can I change that?

How do I get my roommate not to {chore} at midnight?
My flatmate likes to {chore} in the middle of the night. How do I [stop|prevent] it?

Should I {chore} for my roommate?
Is it my [job|duty] to {chore} on behalf of a flatmate?

How often should roommates {chore}?
What is a fair [schedule|plan] by which flatmates {chore}?

# landlord-deposit
n: 14 = fourteen | 30 = thirty | 60 = sixty
place: Texas | Ontario | England | New York = NY
Must a landlord return the deposit within {n} days in {place}?
Is {n} days the legal deadline for paying back a deposit in {place}?
I moved out in {place}. Can I expect my deposit by day {n}?
Does the law of {place} give an owner {n} days to refund the deposit?

Must a tenant pay the deposit within {n} days in {place}?
Is {n} days the legal deadline for a renter to [hand over|transfer] the deposit in {place}?

Can a landlord evict me within {n} days in {place}?
Does the law of {place} let an owner [throw me out|remove me] in {n} days?

Can a landlord raise the rent every {n} days in {place}?
May an owner in {place} [increase|put up] what I pay each {n} days?

# speeding-fine
n: 10 = ten | 20 = twenty | 40 = forty
place: Switzerland | Ohio | Finland | the UK = Britain
What is the fine for driving {n} over the speed limit in {place}?
How much do I pay in {place} when I was {n} too fast?
A camera in {place} caught me at {n} above the limit. How expensive will it be?
Penalty in {place} for exceeding the permitted speed by {n}?

What is the fine for driving {n} under the speed limit in {place}?
How much do I pay in {place} when I was {n} [too slow|below the limit]?

Do I lose my licence for driving {n} over the speed limit in {place}?
I was {n} too fast in {place}. Will they [take|keep] my driving permit?

How do I contest a fine for driving {n} over the speed limit in {place}?
A camera in {place} says I was {n} too fast and it is wrong. How do I [appeal|object]?

# citizen-law
n: 3 = three | 5 = five | 10 = ten
place: Canada | Germany | Argentina | Australia
Can I become a citizen of {place} after {n} years?
Does living in {place} for {n} years qualify me for its passport?
I have been in {place} for {n} years. May I apply for naturalisation?
Are {n} years of residence enough to be naturalised in {place}?

Can I lose citizenship of {place} after {n} years abroad?
Does living elsewhere for {n} years [cost|lose] me the passport of {place}?

Can I vote in {place} after {n} years without citizenship?
I have been in {place} for {n} years as a foreigner. May I [cast a vote|take part in elections]?

# copyright-use
work: a song | a photo | a poem | a movie scene
media: a YouTube video | my podcast | a school play | an advert
Can I use {work} in {media} without permission?
Is it an infringement to put {work} into {media} without asking?
Do I have to ask the author when {work} shows up in {media}?
{work} for {media}: must I seek a licence?

How do I get permission to use {work} in {media}?
Whom do I [ask|contact] so that I may put {work} into {media}?

Someone used {work} of mine in {media} without permission. What can I do?
A stranger put {work} that I made into {media}. How do I [react|respond]?

# small-claims
n: 300 = three hundred | 900 = nine hundred | 3000 = three thousand
who: contractor | former boss | tenant | online seller
Can I sue a {who} who owes me {n} dollars?
My {who} will not pay back {n} dollars. Is going to court an option?
Is legal action over {n} dollars possible against a {who}?
Taking a {who} to court for {n} dollars: does that work?

Can a {who} sue me over {n} dollars?
I will not pay {n} dollars to a {who}. May he take me to [court|trial]?

Is it worth suing a {who} over {n} dollars?
Would a lawsuit over {n} dollars against a {who} cost me more than it [brings|returns]?

Did anybody win a lawsuit against a {who} over {n} dollars?
Who has [won|succeeded] in court against a {who} when {n} dollars were at stake?

# jury-duty
who: student | nursing mother | police officer | self-employed person
Can a {who} get out of jury duty?
Is a {who} exempt from serving on a jury?
I am a {who} and was summoned as a juror. May I decline?
Excusing a {who} from the jury: is there a way?

Can a {who} volunteer for jury duty?
I am a {who} and would love to be a juror. May I [sign up|apply]?

How much is a {who} paid for jury duty?
What [money|compensation] does a {who} get for serving on a jury?

What should a {who} wear to jury duty?
Which [clothes|outfit] would suit a {who} called as a juror?

# will-inherit
heir: a stepchild | a nephew | an ex-wife | a pet
Can {heir} inherit if there is no will?
Does the estate go to {heir} when nothing was put in writing?
Without a testament, has {heir} any right to the property?
Somebody dies and leaves no will. Will {heir} get a share?

Can {heir} inherit if there is a will?
Does the estate go to {heir} when a testament [exists|was written]?

How do I leave my house to {heir}?
What should my testament say so that {heir} [gets|receives] the house?

How do I disinherit {heir}?
What should my testament say so that {heir} gets [nothing|no share]?
"""

WORLD = """
# football-rules
what: offside | handball | simulation = diving | time-wasting
When is it {what} in football?
Which situation does a referee call {what} in a soccer game?
I am new to soccer. Could somebody explain {what}?
How does the rule book of football define {what}?

When was {what} introduced in football?
Since which [year|season] has soccer known {what}?

Who had the most famous {what} call in football history?
Which {what} decision in soccer is [remembered|talked about] to this day?

Should {what} be abolished in football?
Would soccer be [better|nicer] without {what}?

# world-cup
team: Brazil | France | Argentina | England | Morocco
year: 2014 | 2018 | 2022
How did {team} do at the World Cup in {year}?
How far did {team} get in the {year} World Cup?
What was the result of {team} in the tournament of {year}?
In which round did the {year} World Cup end for {team}?

Who coached {team} at the World Cup in {year}?
Which [manager|trainer] was in charge of {team} in the {year} World Cup?

Who scored the most goals for {team} at the World Cup in {year}?
Which player of {team} [struck|found the net] most often in the {year} World Cup?

Why did fans of {team} complain at the World Cup in {year}?
What made supporters of {team} so [angry|upset] during the {year} World Cup?

# gym-muscle
muscle: biceps | calves | shoulders | abs | glutes
n: 2 = two | 3 = three | 5 = five
Is it enough to train {muscle} {n} times a week?
Will {muscle} grow on {n} workouts per week?
I exercise my {muscle} {n} days out of seven. Does that suffice?
{n} weekly sessions for {muscle}: sufficient for growth?

Is it too much to train {muscle} {n} times a week?
Do {n} workouts per week [overload|overtrain] the {muscle}?

Which exercise for {muscle} should I do {n} times a week?
What move [builds|grows] {muscle} best if I repeat it {n} days out of seven?

Why do my {muscle} ache when I train {n} times a week?
What makes the {muscle} [sore|hurt] after {n} weekly sessions?

# swim-learn
age: 30 = thirty | 50 = fifty | 70 = seventy
stroke: the front crawl = freestyle | the butterfly | the backstroke
Can I still learn {stroke} at {age}?
Is {age} too old for mastering {stroke}?
I turned {age} and would like to swim {stroke}. Will I manage?
Picking up {stroke} at the age of {age}: is it feasible?

Can I still teach {stroke} at {age}?
Is {age} too old for [coaching|instructing] others in {stroke}?

How many calories does {stroke} burn at {age}?
I turned {age}. How much energy do I [spend|use up] with {stroke}?

Is {stroke} bad for the shoulders at {age}?
Will {stroke} [hurt|damage] my joints when I am {age}?

# chess-open
opening: the Sicilian Defence | the Queen's Gambit | the King's Indian | the Ruy Lopez
Is {opening} good for beginners?
Would you teach {opening} to somebody who is new to chess?
As a novice, should I play {opening}?
Does {opening} suit players who have just learnt the moves?

Is {opening} good for grandmasters?
Do the [strongest|best] players in the world still rely on {opening}?

How do I beat {opening}?
What should one [play|do] against {opening}?

Why is {opening} called that?
Where does the name of {opening} [come from|originate]?

# tennis-gear
sport: tennis | badminton | squash
How often should a {sport} player buy a new racket?
After how much playing is a {sport} racket worn out?
When is it time to replace the racket I use for {sport}?
What is the service life of a racket in {sport}?

How much does a good racket for {sport} cost?
What [price|sum] should I pay for a decent {sport} racket?

How heavy should a racket for {sport} be?
Which weight is [right|good] for a {sport} racket?

How often should a {sport} player change the grip of the racket?
When is a new [grip|handle tape] due on a racket for {sport}?

# bike-repair
part: chain | inner tube | brake pad | rear derailleur
How do I replace the {part} of my bicycle?
Which steps are needed to change a bike's {part}?
My cycle needs a fresh {part}. How do I fit it?
Swapping out a {part} on a bike: how is it done?

How do I clean the {part} of my bicycle?
What removes the [dirt|grime] from a bike's {part}?

When should I replace the {part} of my bicycle?
After how many kilometres is a bike's {part} [worn|used up]?

What does a shop charge to replace the {part} of my bicycle?
What will I [pay|spend] when a mechanic changes a bike's {part}?

# car-noise
noise: squeak | rattle | hum | click
when: braking | turning left | accelerating | idling
Why does my car {noise} when {when}?
What makes an automobile {noise} while it is {when}?
I hear my vehicle {noise} while {when}. What might be broken?
Possible reasons for a car to {noise} if I am {when}?

Is it safe to drive a car that starts to {noise} when {when}?
May I still use a vehicle that likes to {noise} while {when}, or is it [risky|dangerous]?

How much is the repair of a car that tends to {noise} when {when}?
What does a garage [charge|want] to fix an automobile that likes to {noise} if it is {when}?

# tyre-pressure
season: summer | winter
car: small car | van | camper | pickup truck
What [tyre|tire] pressure is right for a {car} in {season}?
How much air belongs in the wheels of a {car} during {season}?
To how many bars should I pump up a {car} for {season} driving?
Correct inflation of {car} wheels in {season}?

What happens if the [tyre|tire] pressure of a {car} is too low in {season}?
Is it dangerous to drive a {car} with too little air in its wheels in {season}?

Why does the [tyre|tire] pressure of a {car} change in {season}?
What makes the air in {car} wheels [expand or shrink|vary] in {season}?

When should I put {season} wheels on a {car}?
In which month does a {car} get its {season} [tyres|tires]?

# electric-range
n: 200 = two hundred | 300 = three hundred | 400 = four hundred
road: on the motorway | in the mountains | in freezing weather
Can an electric car drive {n} kilometres on one charge {road}?
Is a range of {n} km realistic for an EV {road}?
Will a battery vehicle last for {n} kilometres {road}?
{road}, do electric cars make it {n} km without plugging in?

How long must an electric car charge after {n} kilometres {road}?
I did {n} km {road} in an EV. When is the battery [full|charged] again?

What does it cost to drive an electric car {n} kilometres {road}?
How much do I [pay|spend] on power for {n} km in an EV {road}?

# empire-fall
empire: the Roman Empire | the Ottoman Empire | the Inca Empire | the Mongol Empire | the Soviet Union
Why did {empire} collapse?
What brought about the end of {empire}?
Which causes do historians name for the fall of {empire}?
How come {empire} broke apart?

How did {empire} arise?
What [brought about|led to] the birth of {empire}?

When did {empire} collapse?
In which [year|century] did the end of {empire} come?

How did ordinary people live in {empire}?
What was [daily|everyday] life like for commoners in {empire}?

Which countries now lie where {empire} was?
What modern states [cover|occupy] the lands of {empire}?

# war-who
war: World War I = the First World War | World War II | the Crimean War | the Vietnam War
What started {war}?
What were the causes of {war}?
How did {war} break out?
Which events triggered {war}?

What ended {war}?
How did {war} [come to an end|finish]?

How many people died in {war}?
What [number|toll] of lives did {war} claim?

Which films about {war} are worth watching?
What are the best [movies|motion pictures] set in {war}?

Could {war} have been avoided?
Was there any chance to [prevent|stop] {war} ahead of its first shot?

# leader-history
who: Napoleon | Cleopatra | Julius Caesar | Genghis Khan | Queen Victoria
How did {who} die?
What was the cause of death of {who}?
What killed {who}?
In what way did the life of {who} come to an end?

Where was {who} born?
What is the [birthplace|place of birth] of {who}?

How did {who} come to power?
What [path|road] led {who} to the top of the state?

Where is {who} buried?
Which [place|spot] holds the grave of {who}?

Did {who} have children?
Was {who} ever a [parent|father or mother]?

# monument-build
thing: the Great Pyramid | Stonehenge | Machu Picchu | the Great Wall of China | the Taj Mahal
How was {thing} built?
By what methods did workers put up {thing}?
Which techniques went into the construction of {thing}?
People had no machines then. How did they erect {thing}?

Why was {thing} built?
For what [purpose|reason] did people put up {thing}?

How long did the construction of {thing} take?
How many years did workers [need|spend] to put up {thing}?

What would it cost to build {thing} today?
If we put up {thing} now, how big would the [bill|price] be?

How do I visit {thing}?
What must a tourist know to [see|tour] {thing}?

# election-system
place: the United States = the USA | France | India | Japan | Brazil
Who can vote in {place}?
Which people are allowed to take part in elections in {place}?
What conditions must a voter meet in {place}?
Who is eligible to cast a ballot in {place}?

Who can run for parliament in {place}?
Which people are allowed to [stand|be candidates] in elections in {place}?

Who won the last election in {place}?
Which party [came first|got most seats] when {place} last voted?

Who will win the next election in {place}?
Which party is going to [come first|get most seats] when {place} votes again?

Is it compulsory to vote in {place}?
Do people in {place} get [fined|punished] if they skip an election?

# capital-why
place: Australia | Turkey = Türkiye | Brazil | Canada | Nigeria
Why is the largest city of {place} not its capital?
How come the government of {place} does not sit in the biggest town?
The biggest town of {place} is no seat of government. What is the reason?
For what reason did {place} choose a capital other than its largest city?

What is the largest city of {place}?
Which town in {place} has the most [inhabitants|people]?

What is the capital of {place}?
In which town does the [government|parliament] of {place} sit?

Will {place} move its capital in the future?
Are there plans for the government of {place} to [sit|settle] elsewhere some day?

# time-zone
from > to: London | New York = NYC | Tokyo | Sydney | Dubai
time: 8 am | noon | 6 pm
When it is {time} in {from}, what time is it in {to}?
It is {time} in {from}. What does the clock say in {to}?
What is the local time in {to} while people in {from} have {time}?
Someone phones from {from} at {time}. What hour is it for the friend who picks up in {to}?

How do I schedule a call at {time} in {from} with people in {to}?
I want to [meet|talk] online at {time}, {from} clock, with folks in {to}. How do I set it up?

Is it rude to call {to} from {from} at {time}?
I am in {from} and it is {time}. Would people in {to} be [annoyed|upset] if I phoned?

# currency-euro
place: Sweden | Poland | Denmark | Hungary
Why does {place} not use the euro?
For what reason has {place} kept its own currency?
How come {place} stays out of the eurozone?
What holds {place} back from adopting the common European money?

Will {place} adopt the euro?
Is {place} going to [join|enter] the eurozone one day?

Can I pay in euros in {place}?
Do shops in {place} [take|accept] the common European money?

What would happen if {place} adopted the euro?
Which effects would the common European money [have on|bring to] {place}?

# guitar-learn
song: Wonderwall | Hotel California | Blackbird | Hallelujah
inst: guitar | ukulele | piano | banjo
How hard is {song} on the {inst} for a beginner?
Can a novice manage to play {song} on the {inst}?
I just started the {inst}. Is {song} within my reach?
Level of difficulty of {song} for someone new to the {inst}?

What are the chords of {song} on the {inst}?
Which harmonies do I [play|need] on the {inst} for {song}?

How do I sing {song} while playing the {inst}?
I lose the beat on the {inst} when I [sing|add vocals to] {song}. Any tips?

How long does it take to learn {song} on the {inst}?
After how many weeks does a novice [master|know] {song} on the {inst}?

# instrument-switch
from > to: violin | cello | trumpet | flute | clarinet
age: 20 = twenty | 35 = thirty-five | 50 = fifty
Is it hard to switch from the {from} to the {to} at {age}?
Will someone of {age} who plays the {from} struggle when taking up the {to}?
I am {age} and know the {from}. How tough would it be to change to the {to}?
Going over to the {to} after years with the {from}, aged {age}: difficult?

Why would anybody switch from the {from} to the {to} at {age}?
What could make someone of {age} [abandon|give up] the {from} for the {to}?

Which teacher helps me switch from the {from} to the {to} at {age}?
I am {age} and know the {from}. Where do I find a [tutor|coach] for the {to}?

# book-order
series: Discworld | Narnia | Earthsea | Dune | Foundation
In what order should I read the {series} books?
Which volume of {series} comes first and which ones follow?
I want to begin with {series}. What is the best reading sequence?
Recommended sequence for going through all of {series}?

In what order were the {series} books written?
Which {series} volume did the author [finish|complete] first and which ones later?

How many {series} books are there?
What number of volumes does {series} [have|comprise]?

Are the {series} books suitable for children?
Would you [give|read] {series} to a ten year old?

Are there any films of the {series} books?
Has anybody [adapted|remade] {series} for the big screen?

# movie-ending
film: Inception | Shutter Island | Interstellar | Fight Club | The Shining
What does the ending of {film} mean?
Can someone explain how {film} ends?
I did not understand the final scene of {film}. What happened there?
Meaning of the last minutes of {film}?

What does the title of {film} mean?
Can someone explain why {film} [bears|has] that name?

Is there an alternative ending of {film}?
Was another final scene [shot|filmed] for {film}?

Where was {film} shot?
At which [places|locations] did the crew film {film}?

Is {film} based on a book?
Was there a [novel|written story] ahead of {film}?

# photo-camera
subject: fireworks | the Milky Way | birds in flight | lightning
dev: phone | DSLR | GoPro
How do I photograph {subject} with a {dev}?
What settings give good pictures of {subject} on a {dev}?
I own a {dev} and want to take shots of {subject}. Any advice?
Shooting {subject} with a {dev}: how do I go about it?

How do I film {subject} with a {dev}?
What settings give good [videos|footage] of {subject} on a {dev}?

Why do my photos of {subject} come out blurry on a {dev}?
What makes my {dev} pictures of {subject} so [unsharp|fuzzy]?

Which {dev} should I buy to photograph {subject}?
What {dev} model takes the [finest|best] pictures of {subject}?

# draw-learn
what: hands | horses | faces | trees
tool: charcoal | ink | pastel | watercolour = watercolor
How can I learn to draw {what} with {tool}?
What is a good method of practising {what} in {tool}?
My {what} look terrible in {tool}. How do I improve?
Getting better at {what} using {tool}: where to begin?

Why is it so hard to draw {what} with {tool}?
What makes {what} such a [difficult|tricky] subject in {tool}?

Which artists are famous for {what} drawn with {tool}?
Who are the [masters|greats] of {what} in {tool}?

How do I erase {what} drawn with {tool}?
I made {what} in {tool} by mistake. How do they [come off|disappear]?

# holiday-origin
day: Halloween | Easter | Thanksgiving | Diwali | Lunar New Year = Chinese New Year
What is the origin of {day}?
How did the tradition of {day} come about?
Where do the customs of {day} have their roots?
For what historical reason do people celebrate {day}?

When is {day} this year?
On what [date|day] does {day} fall this year?

What do people eat on {day}?
Which [dishes|meals] belong to {day}?

Do schools close on {day}?
Are pupils [free|off] on {day}?

When was {day} last year?
On what [date|day] did {day} fall last year?

# write-novel
n: 200 = two hundred | 500 = five hundred | 1000 = one thousand
How long does it take to finish a novel at {n} words a day?
If I write {n} words daily, when will my book be complete?
At a pace of {n} words per day, after how many months is a novel done?
Time needed for a whole book with {n} words every day?

How do I find the discipline for {n} words a day?
What [helps|gets] a novelist to sit down for {n} words daily?

How long does it take to read a novel at {n} words a minute?
If I read {n} words each minute, when will I [reach the end|be through]?

Do famous novelists write {n} words a day?
Is {n} words daily what well-known [authors|writers] produce?

# boardgame-players
game: Catan | Monopoly | Carcassonne | Risk
n: 2 = two | 5 = five | 7 = seven
Can {n} people play {game}?
Is {game} playable in a group of {n}?
We are {n} tonight. Does {game} work for us?
Does {game} allow a party of {n}?

How long does {game} take with {n} people?
We are {n} tonight. When will a round of {game} be [over|finished]?

What is a good strategy for {game} with {n} people?
How do I [win|come first] in {game} in a group of {n}?

Why is {game} boring with {n} people?
What makes {game} so [dull|tedious] in a group of {n}?

# knit-yarn
item: scarf | sweater = pullover | hat | pair of socks
n: 4 | 6 | 8
How much yarn does a {item} take on {n} mm needles?
What quantity of wool should I get for a {item} made with needles of {n} mm?
I knit a {item} with {n} mm needles. How many balls must I buy?
Yarn requirement for a {item} at needle size {n} mm?

How long does it take to knit a {item} on {n} mm needles?
How many evenings will a {item} made with needles of {n} mm [cost|take] me?

Is a {item} too loose if knitted on {n} mm needles?
Do needles of {n} mm make a {item} [baggy|slack]?

# weather-storm
kind: thunderstorm | hurricane | blizzard | sandstorm
where: in a car | in a tent | on a boat | on a hike
What should I do if a {kind} catches me {where}?
How do I stay safe {where} when a {kind} strikes?
I am {where} and a {kind} comes up. What now?
Correct behaviour {where} during a {kind}?

What should I do {where} once a {kind} is over?
The {kind} has passed and I am {where}. What are the next [steps|moves]?

How do I notice {where} that a {kind} is coming?
Which signs [announce|warn of] a {kind} when I am {where}?

Has anybody been killed by a {kind} {where}?
Did somebody ever [die|lose their life] in a {kind} {where}?
"""

INTENTS = "\n".join((TRAVEL, TECH, HEALTH, MONEY, HOME, SCIENCE, PEOPLE, WORLD))
